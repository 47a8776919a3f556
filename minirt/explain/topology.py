"""The picture of a network, as the kernel has it at this moment: the model of all drawings.

Of minirt's own files only two things are taken: which bridge the network has, and which
container holds the lease of an address. Everything else is asked of the kernel: links,
addresses, routes, switches, rules, and the far ends of wires in their namespaces.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from minirt.explain import neighbourhood, relevance, ruleset
from minirt.explain.neighbourhood import Room
from minirt.kernel import sysctl
from minirt.kernel.netlink import survey
from minirt.kernel.netlink.survey import Device, Survey
from minirt.network import leases
from minirt.network.facts import Facts
from minirt.network.spec import Network


@dataclass(frozen=True, slots=True)
class Link:
    """A link, as it is drawn."""

    name: str
    index: int
    mac: str = ""
    addresses: tuple[str, ...] = ()
    up: bool = True
    mtu: int = 0


@dataclass(frozen=True, slots=True)
class Inside:
    """The network namespace at the far end of a wire."""

    name: str  # the container's; or what process lives there
    link: Link
    pid: int
    namespace: int  # its inode: two containers with the same one share it
    container: str = ""  # its id; empty: it holds no lease, so it is none of minirt's
    gateway: str = ""  # where its default route leads
    is_cut: bool = False  # there may be more links and addresses than were looked at


@dataclass(frozen=True, slots=True)
class Wire:
    """A port of the bridge, and what is plugged in there."""

    link: Link
    hairpin: bool = False
    isolated: bool = False
    inside: Inside | None = None  # None: the far end is in no process's namespace


@dataclass(frozen=True, slots=True)
class Outside:
    """The way out of the host."""

    link: Link
    gateway: str


@dataclass(frozen=True, slots=True)
class Port:
    """A published port: an element of the packet filter's maps, and the socket that opens it."""

    protocol: str
    host: str  # address and port; "*" for all addresses
    target: str
    container: str = ""  # the name
    open: bool = True  # somebody holds the host's port, as it must be


@dataclass(frozen=True, slots=True)
class Picture:
    """One network."""

    network: str
    id: str
    subnets: tuple[str, ...]
    internal: bool
    icc: bool
    bridge_name: str
    bridge: Link | None  # None: there is none, although there should be
    forwarding: bool
    filters_bridges: bool  # bridge-nf-call-iptables: also what is bridged meets the filter
    masquerade: tuple[str, ...]  # subnets of this network that are hidden behind the host
    outside: tuple[Outside, ...] = ()
    wires: tuple[Wire, ...] = ()
    ports: tuple[Port, ...] = ()
    rules: tuple[relevance.Concern, ...] = field(default=())


def gather(network: Network) -> Picture:
    """Look at a network that has a bridge."""
    holders = {str(address): facts for address, facts in leases.living(network).items()}
    with survey.look() as here:
        devices = here.devices()
        outside = _outside(here, devices)
    bridge = next((one for one in devices if one.name == network.bridge), None)
    ports = [one for one in devices if bridge and one.master == bridge.index]
    rooms = neighbourhood.rooms(facts.pid for facts in holders.values() if facts.pid)
    rules = ruleset.look()
    subnets = tuple(str(one) for one in (network.subnet4, network.subnet6) if one is not None)
    return Picture(
        network=network.name,
        id=network.id,
        subnets=subnets,
        internal=network.internal,
        icc=network.icc,
        bridge_name=network.bridge,
        bridge=_link(bridge) if bridge else None,
        forwarding=sysctl.read("net/ipv4/ip_forward") == "1",
        filters_bridges=sysctl.read("net/bridge/bridge-nf-call-iptables") == "1",
        masquerade=tuple(one for one in subnets if relevance.is_masqueraded(rules, one)),
        outside=outside,
        wires=tuple(_wire(one, rooms, holders) for one in ports),
        ports=_ports(rules, holders),
        rules=relevance.concerning(rules, network.bridge, subnets),
    )


def _outside(here: Survey, devices: list[Device]) -> tuple[Outside, ...]:
    by_index = {one.index: one for one in devices}
    defaults = [one for one in here.default_routes() if one.link in by_index]
    return tuple(Outside(_link(by_index[one.link]), one.gateway) for one in defaults)


def _link(one: Device) -> Link:
    addresses = [a for a in one.addresses if not ip_address(a.ip).is_link_local]
    return Link(one.name, one.index, one.mac, tuple(map(str, addresses)), one.up, one.mtu)


def _wire(port: Device, rooms: list[Room], holders: dict[str, Facts]) -> Wire:
    inside = None
    found = neighbourhood.far_end(port, rooms)
    if found is not None:
        room, device = found
        own = [holders[str(a.ip)] for a in device.addresses if str(a.ip) in holders]
        inside = Inside(
            name=own[0].name if own else f"{room.command} (pid {room.pid})",
            link=_link(device),
            pid=own[0].pid if own else room.pid,
            namespace=room.inode,
            container=own[0].container if own else "",
            gateway=room.gateway,
            is_cut=room.is_cut,
        )
    return Wire(_link(port), port.hairpin, port.isolated, inside)


def _ports(rules: ruleset.Ruleset, holders: dict[str, Facts]) -> tuple[Port, ...]:
    from minirt.explain import published

    found: list[Port] = []
    for one in published.look(rules):
        if one.address in holders:
            host = f"{one.host_ip or '*'}:{one.host_port}"
            target = f"{one.address}:{one.port}"
            name = holders[one.address].name
            found.append(Port(one.protocol, host, target, name, one.is_held))
    return tuple(found)


def document(picture: Picture) -> dict[str, Any]:
    """Return the picture as JSON can write it."""
    from dataclasses import asdict

    return asdict(picture)
