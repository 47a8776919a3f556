"""What the server imports so that no command has to: all of minirt that commands may need."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import minirt

_TOP = Path(minirt.__file__).parent
# What starts as a process of its own: module names, and beginnings of them.
_NOT = ("minirt.__main__", "minirt.server.__main__", "minirt.network.resolver", "minirt.oci")


def everything() -> None:
    """Import every module, and the libraries that are loaded late."""
    for path in sorted(_TOP.rglob("*.py")):
        words = path.relative_to(_TOP.parent).with_suffix("").parts
        name = ".".join(words).removesuffix(".__init__")
        if name not in _NOT and not name.startswith("minirt.oci."):
            importlib.import_module(name)
    from minirt import cli
    from minirt.commands import verbs
    from minirt.kernel import netlink, nftables

    netlink.preload()
    nftables.preload()
    verbs.get_ready(cli.root)
    verbs.prepare()


def sources() -> dict[str, int]:
    """Return when each source file was changed, in nanoseconds."""
    return {str(path): path.stat().st_mtime_ns for path in _TOP.rglob("*.py")}


def are_as_before(sources: dict[str, int]) -> bool:
    """Say whether no source file has changed, or gone, since :func:`sources` told of them."""
    try:  # Not by pathlib, nor by a look into the folders: a command waits for this.
        return all(os.stat(path).st_mtime_ns == time for path, time in sources.items())  # noqa: PTH116
    except OSError:
        return False
