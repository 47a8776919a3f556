"""The wire between a bridge and a network namespace: a veth(4) pair.

Nobody needs to unplug what dies: the pair goes with the namespace that holds one of its ends,
behind our back and for free, while deleting it means waiting 16-30 ms for the kernel.
"""

from __future__ import annotations

import errno
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Interface

from minirt.errors import Exhausted
from minirt.kernel import netlink, sysctl
from minirt.kernel.namespaces import Netns
from minirt.kernel.netlink import Connection, Link, Peer
from minirt.network.lacks import needs
from minirt.network.leases import Lease
from minirt.network.mac import mac_of
from minirt.network.spec import Network

__all__ = ["host_end", "mac_of", "plug", "unplug"]

_FILTERS_BRIDGES = "net/bridge/bridge-nf-call-iptables"


def host_end(address: IPv4Address) -> str:
    """Return the name of the pair's end on the host: the address, in hexadecimal."""
    return f"veth{int(address):08x}"


def plug(
    network: Network,
    lease: Lease,
    netns: Netns,
    *,
    interface: str,
    mac: str = "",
    default_route: bool = True,
) -> None:
    """Wire a namespace to the network, under the leased address; lo is set up too.

    The bridge must be there (bridge.ensure). Raises OSError: EEXIST if the namespace has an
    ``interface`` or a default route already.
    """
    address = lease.address
    peer = Peer(interface, mac or mac_of(address.ip), netns)
    _lay_wire(network, address, peer)
    with netlink.connect(netns) as inside:
        wire = inside.find(interface)
        assert wire is not None, "it was born there"
        inside.set_up(netlink.LOOPBACK)
        if network.subnet6 is None:  # Else any neighbour could become its router (RFC 4861).
            _without_ipv6(interface, netns)
        inside.add_address(wire, address)
        inside.set_up(wire)
        if default_route:
            inside.add_default_route(network.gateway4)


def unplug(address: IPv4Address | IPv4Interface) -> None:
    """Take the wire of an address away: both ends, and the routes over it; none: nothing."""
    ip = address.ip if isinstance(address, IPv4Interface) else address
    with netlink.connect() as links:
        wire = links.find(host_end(ip))
        if wire is not None:
            links.delete(wire)


def _lay_wire(network: Network, address: IPv4Interface, peer: Peer) -> None:
    name = host_end(address.ip)
    with netlink.connect() as links:
        bridge = links.find(network.bridge)
        assert bridge is not None, "bridge.ensure came first"
        try:
            _add_veth(links, name, network, bridge, peer)
        except FileExistsError:
            # We hold the lease, so whoever laid that wire is dead and the kernel has not
            # swept its namespace yet: cleanup_net runs later, in a work queue.
            stale = links.find(name)
            if stale is not None:
                with suppress(OSError):
                    links.delete(stale)  # unless the kernel was faster
            _add_veth(links, name, network, bridge, peer)
        # Frames between two ports of a bridge meet the filter's "noicc" only with
        # br_netfilter; without it, the bridge itself must keep the ports apart.
        apart = not network.icc and sysctl.read(_FILTERS_BRIDGES) != "1"
        links.set_port(name, isolated=apart)


def _add_veth(links: Connection, name: str, network: Network, bridge: Link, peer: Peer) -> None:
    try:
        with needs("veth pairs", "veth"):
            links.add_veth(name, bridge, peer, bridge.mtu)
    except OSError as error:
        if error.errno != errno.EXFULL:
            raise
        why = f"a bridge has at most 1023 ports, and {bridge.name} has them all"
        remedy = "Make another network."
        raise Exhausted(f"The network {network.name} is full", why, remedy) from error


def _without_ipv6(interface: str, netns: Netns) -> None:
    with suppress(FileNotFoundError):  # a kernel without IPv6
        sysctl.write(f"net/ipv6/conf/{interface}/disable_ipv6", "1", netns)
