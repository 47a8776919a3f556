"""Parts of Linux that are missing: each is tried, in a network namespace that is thrown away."""

from __future__ import annotations

from collections.abc import Iterator

from minirt.errors import KernelRefused
from minirt.explain.findings import Finding
from minirt.kernel import namespaces, netlink, nftables
from minirt.kernel.namespaces import Namespace, Netns
from minirt.kernel.netlink import Peer
from minirt.network import filters, spoofing
from minirt.network.lacks import needs

OPTIONAL = "nf_tables_bridge"  # minirt does without, less well
_MAC = "02:42:00:00:00:01"


def of_kernel() -> Iterator[Finding]:
    """Try a bridge, a wire, and our packet filter."""
    with namespaces.network_of("self") as own, namespaces.inside(own):
        namespaces.unshare(Namespace.NET)
        with namespaces.network_of("self") as scratch:
            for what, module, attempt in _TRIALS:
                try:
                    with needs(what, module):
                        attempt(scratch)
                except (KernelRefused, OSError) as error:
                    found = f"this kernel has no {what} ({error})"
                    is_fault = module != OPTIONAL
                    mend = f"modprobe {module}"
                    yield Finding(f"no-{module}", "host", found, mend, is_fault)
    nftables.close()


def _bridge(_scratch: Netns) -> None:
    with netlink.connect() as links:
        links.add_bridge("trial", _MAC)


def _wire(scratch: Netns) -> None:
    with netlink.connect() as links:
        bridge = links.find("trial")
        if bridge is not None:
            links.add_veth("trial0", bridge, Peer("trial1", _MAC, scratch))


def _filter(_scratch: Netns) -> None:
    nftables.load(filters.RULES)


def _guard(_scratch: Netns) -> None:
    nftables.load(spoofing.RULES)


_TRIALS = (
    ("bridges", "bridge", _bridge),
    ("veth pairs", "veth", _wire),
    ("nftables with all that its rules need", "nf_tables", _filter),
    ("packet filter for bridges: containers can forge addresses", OPTIONAL, _guard),
)
