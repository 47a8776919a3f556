"""What the server imports so that no command has to: all of minirt that commands may need."""

from __future__ import annotations

import importlib

from minirt.server.sources import TOP

# What starts as a process of its own, and what is large and seldom needed: pyroute2.
_NOT = (
    "minirt.__main__",
    "minirt.server.__main__",
    "minirt.network.resolver",
    "minirt.oci",
    "minirt.kernel.netlink.pyroute",
)
_LATE = ("csv", "pickle")  # what commands import only when they need it, and often do


def everything() -> None:
    """Import every module, and the libraries that are loaded late."""
    for name in _LATE:
        importlib.import_module(name)
    for path in sorted(TOP.rglob("*.py")):
        words = path.relative_to(TOP.parent).with_suffix("").parts
        name = ".".join(words).removesuffix(".__init__")
        if name not in _NOT and not name.startswith("minirt.oci."):
            importlib.import_module(name)
    from minirt import cli
    from minirt.commands import verbs
    from minirt.container import defaults
    from minirt.container.record import HostConfig
    from minirt.kernel import capabilities, nftables, parcels
    from minirt.network import filters
    from minirt.runtime import filters as seccomp
    from minirt.runtime import mount_options, seccomp_profile

    capabilities.known_to_kernel()
    parcels.pickler()
    nftables.preload()
    filters.version()
    filters.get_ready()
    seccomp.get_ready(seccomp_profile.default(defaults.CAPABILITIES))
    for one in defaults.mounts(shm_size=HostConfig().shm_size):
        mount_options.parse(tuple(one["options"]))
    verbs.get_ready(cli.root)
    verbs.prepare()
