"""The wire between a bridge and a network namespace: a veth(4) pair.

Nobody needs to unplug what dies: the pair goes with the namespace that holds one of its ends,
behind our back and for free, while deleting it means waiting 16-30 ms for the kernel. It is only
set down, for the case that somebody keeps the namespace (container/ending.py).
"""

from __future__ import annotations

import errno
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path

from minirt.errors import Conflict, Exhausted, KernelRefused
from minirt.kernel import neighbours, netlink, sysctl
from minirt.kernel.namespaces import Netns
from minirt.kernel.netlink import Connection, Link, Peer, departure
from minirt.network import icc, leases, macvlan, spoofing, store
from minirt.network.block import Address, Interface
from minirt.network.identity import host_end, mac_of
from minirt.network.lacks import needs
from minirt.network.leases import Lease
from minirt.network.spec import Network

_TRIES, _PAUSE = 400, 0.0005  # seconds; so often a link is asked whether it carries yet


def plug(
    network: Network,
    lease: Lease,
    netns: Netns,
    *,
    interface: str,
    mac: str = "",
    lease6: Lease | None = None,
    default_route: bool = True,
    trusted: bool = False,
) -> None:
    """Wire a namespace to the network, under the leased addresses; lo is set up too.

    The bridge must be there (bridge.ensure). One that is ``trusted`` may have further addresses
    (spoofing.py). Raises Conflict if the namespace has an ``interface`` already, OSError: EEXIST
    if it has a default route already.
    """
    peer = Peer(interface, mac or mac_of(lease.address.ip), netns)
    addresses = [one.address for one in (lease, lease6) if one is not None]
    if trusted or not spoofing.is_usual(network, peer.mac, [one.ip for one in addresses]):
        _moved(network).touch(mode=0o600)
    if network.has_bridge:
        port = host_end(lease.address.ip)
        spoofing.bind(network, port, peer.mac, addresses, trusted=trusted)
        if not network.icc:
            icc.bind(port, peer.mac)
        _lay_wire(network, lease.address.ip, peer)
    else:
        macvlan.lay(network, peer)
    with netlink.connect(netns) as inside:
        wire = inside.look(interface)
        inside.set_up(netlink.LOOPBACK)
        _switch(interface, netns, has_ipv6=lease6 is not None)
        for one in filter(None, (lease, lease6)):
            inside.add_address(wire, one.address)
        if network.has_bridge:
            inside.set_up(wire)
        else:
            macvlan.set_up(network, inside, wire)
        if default_route:
            for one in filter(None, (lease, lease6)):
                inside.add_default_route(network.block(one.address.version).gateway)


def switch(netns: Netns, interface: str, sysctls: Mapping[str, str]) -> None:
    """Set switches of an interface that somebody asked for.

    They are named by their path below /proc/sys, with IFNAME in it. Raises KernelRefused.
    """
    for path, value in sysctls.items():
        name = path.replace("IFNAME", interface)
        try:
            sysctl.write(name, value, netns)
        except OSError as error:
            what = f"Cannot set the interface's sysctl {name.replace('/', '.')} to {value}"
            absent = isinstance(error, FileNotFoundError)
            why = "this kernel has no such" if absent else error.strerror or str(error)
            raise KernelRefused(what, why) from None


def plug_in_again(links: Connection, network: Network, bridge: Link) -> None:
    """Plug the wires of the living into a bridge made anew: whoever deleted it let them loose."""
    for address in leases.living(network):
        name = host_end(address)
        if address.version == 4 and links.find(name) is not None:
            links.plug_in(name, bridge)
            _set_port(links, name, network)


def introduce(
    network: Network, addresses: Sequence[Interface], netns: Netns, *, interface: str, mac: str
) -> None:
    """Wait until a wire carries packets; let nobody send to who had these addresses before.

    To be called some time after :func:`plug`, since a link carries nothing for a moment after it
    was set up: the kernel's linkwatch wakes its queues, of both ends; and those of the bridge
    when it gets its first port. What is sent before is lost without a word. The neighbours are
    told only where another MAC address can have been: what each of them hears costs each of them.
    """
    with netlink.connect() as links, netlink.connect(netns) as inside:
        ends = [(inside, interface)]
        if network.has_bridge:
            ends += [(links, network.bridge), (links, host_end(addresses[0].ip))]
        for _ in range(_TRIES):
            # Not by look: it waits for nobody, and shows what linkwatch has only begun with.
            if all((link := side.find(name)) and link.running for side, name in ends):
                break
            time.sleep(_PAUSE)
    if network.has_bridge and not network.adopted and not _moved(network).exists():
        return
    with suppress(OSError):  # Who has not heard it asks, later.
        for address in addresses:
            if isinstance(address, IPv6Interface):
                neighbours.advertise(netns, interface, mac, address.ip)
            elif network.has_bridge and mac == mac_of(address.ip):
                neighbours.ask_for(netns, interface, network.gateway4)
            else:
                neighbours.announce(netns, interface, mac, address.ip)


def _moved(network: Network) -> Path:
    """Name what is there once an address may have been used with another MAC than the usual."""
    return store.run_directory(network.name) / "moved"


def unplug(address: Address | Interface) -> None:
    """Take the wire of an address away: both ends, and the routes over it; none: nothing."""
    ip = address.ip if isinstance(address, IPv4Interface | IPv6Interface) else address
    with netlink.connect() as links:
        wire = links.find(host_end(ip))
        if wire is not None:
            departure.delete(wire)
    spoofing.release(host_end(ip))


def _lay_wire(network: Network, address: Address, peer: Peer) -> None:
    name = host_end(address)
    with netlink.connect() as links:
        bridge = links.look(network.bridge)
        try:
            _add_veth(links, name, network, bridge, peer)
        except FileExistsError:
            # We hold the lease, so whoever laid that wire is dead and the kernel has not
            # swept its namespace yet: cleanup_net runs later, in a work queue.
            stale = links.find(name)
            if stale is not None:
                _set_aside(links, stale)
            try:
                _add_veth(links, name, network, bridge, peer)
            except FileExistsError:
                why = f"there is an interface {peer.name} in it already"
                raise Conflict(f"Cannot plug the container into {network.name}", why) from None
        _set_port(links, name, network)


def _set_aside(links: Connection, dead: Link) -> None:
    """Leave a dead wire to the kernel, under another name: to delete it would take 10-20 ms.

    It is down, so nothing goes there any more, even if somebody keeps its namespace.
    """
    try:
        links.set_aside(dead, f"dead{dead.index}")
    except OSError:
        with suppress(OSError):  # unless the kernel was faster
            links.delete(dead)


def _set_port(links: Connection, name: str, network: Network) -> None:
    links.set_port(name, isolated=icc.isolates(network))


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


def _switch(interface: str, netns: Netns, *, has_ipv6: bool) -> None:
    """Set the switches of an interface (networking/ip-sysctl.rst) before it is up.

    Without an address of ours it has no IPv6 at all, else any neighbour could become its
    router (RFC 4861); with one it listens to no router, and needs not ask whether somebody
    has the address already (RFC 4862, section 5.4): that takes a second. Its link-local address
    follows from its MAC (addr_gen_mode), since its port accepts no other (spoofing.py).
    """
    values = {"disable_ipv6": "1"}
    if has_ipv6:
        values = {"addr_gen_mode": "0", "disable_ipv6": "0", "accept_ra": "0", "accept_dad": "0"}
    with suppress(FileNotFoundError):  # a kernel without IPv6
        for name, value in values.items():
            sysctl.write(f"net/ipv6/conf/{interface}/{name}", value, netns)
