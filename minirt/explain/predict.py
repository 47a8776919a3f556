"""From "from A to B, port P" to a packet, to its road, and to what would have to be different."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface
from itertools import islice

from minirt.errors import InvalidRequest, NotFound, in_quotes
from minirt.explain import published, road
from minirt.explain.journey import Journey, Road, Stopped
from minirt.explain.neighbourhood import Room
from minirt.explain.packet import Address, Packet
from minirt.explain.terrain import Ground
from minirt.kernel import conntrack
from minirt.kernel.conntrack import Flow
from minirt.kernel.netlink import survey
from minirt.kernel.netlink.survey import Device

HOST, OUTSIDE = "host", "outside"
MOST_FLOWS = 100  # that are told of


@dataclass(frozen=True, slots=True)
class Point:
    """One end of the road, as it was named: a container, the host, the outside, an address."""

    name: str
    room: Room | None = None  # of a container
    address: Address | None = None  # where one was named

    @property
    def devices(self) -> tuple[Device, ...]:
        """The links of a container."""
        return self.room.devices if self.room else ()


@dataclass(frozen=True, slots=True)
class Question:
    """Whom the packet is from, whom it is for, and what is in it."""

    source: Point
    target: Point
    protocol: str = "icmp"
    port: int = 0
    version: int = 4


def read(text: str) -> tuple[str, int, str]:
    """Return name, port and protocol of ``NAME[:PORT[/PROTOCOL]]``; 0 and icmp without a port.

    Raises InvalidRequest.
    """
    rest, _, protocol = text.partition("/")
    name, colon, number = rest.rpartition(":")
    if rest.startswith("[") and rest.endswith("]"):
        name, colon, number = rest, "", ""
    elif not colon or (":" in name and not name.startswith("[")):
        name, colon, number = rest, "", ""  # no port, or an IPv6 address without brackets
    name = name.removeprefix("[").removesuffix("]")
    protocol = protocol.lower() or ("tcp" if colon else "icmp")
    known = protocol in (("tcp", "udp") if colon else ("icmp",))
    is_port = number.isascii() and number.isdecimal() and 0 < int(number) < 1 << 16
    if not name or not known or (colon and not is_port):
        raise InvalidRequest(
            f"Cannot read {in_quotes(text)}", "", "Write NAME, NAME:PORT or NAME:PORT/udp."
        )
    return name, int(number or 0), protocol


def predict(ground: Ground, question: Question, hidden: Mapping[str, str] | None = None) -> Road:
    """Follow a packet on paper.

    ``hidden`` are the networks that are to leave under the host's address, by their bridges.
    """
    first = packet(ground, question)
    journey = Journey(ground, first, hidden=hidden or {})
    refusal, arrived = None, ""
    source = question.source
    try:
        if source.room is not None:
            arrived = road.from_room(journey, source.room)
        elif source.name == HOST:
            arrived = road.from_host(journey)
        else:
            way = ground.host.way(first.source, None, 0)
            arrived = road.from_outside(journey, way.link)
    except Stopped as stopped:
        refusal = stopped.refusal
    entry = _entry(journey) if journey.is_tracked and refusal is None else ""
    hops = tuple(journey.hops)
    first = journey.first or first
    doubts = tuple(dict.fromkeys(journey.doubts))
    astray = _astray(journey, first, question) if journey.is_tracked and not refusal else ()
    return Road(first, journey.packet, hops, refusal, arrived, entry, doubts, astray)


def _astray(journey: Journey, first: Packet, question: Question) -> tuple[Flow, ...]:
    """Return some UDP flows like this one that the connection tracker leads elsewhere.

    It has decided about them with their first packet, before the rules were as they are.
    """
    if first.protocol != "udp":
        return ()
    receiver = journey.packet.target, journey.packet.port
    is_anybody = question.source.name == OUTSIDE
    astray = (
        one
        for one in conntrack.udp_flows_to(first.port, first.version)
        if one.target == first.target
        and (is_anybody or one.source == first.source)
        and (one.receiver, one.receiver_port) != receiver
    )
    return tuple(islice(astray, MOST_FLOWS))


def packet(ground: Ground, question: Question) -> Packet:
    """Choose addresses. Raises NotFound where an end has none."""
    target, port = _target(ground, question)
    unknown = ip_address("0.0.0.0" if target.version == 4 else "::")  # the route will tell
    source = unknown
    if question.source.room is None and question.source.name != HOST:
        source = question.source.address or _outside(ground, target.version)
    return Packet(source, target, question.protocol, port)


def _target(ground: Ground, question: Question) -> tuple[Address, int]:
    target, port = question.target, question.port
    if target.address is not None:
        return target.address, port
    if target.name == OUTSIDE:
        return _outside(ground, question.version), port
    if target.name == HOST:
        return _of_the_host(ground, question), port
    own = [
        ip_interface(a)
        for one in target.devices
        for a in survey.of_version(one.addresses, question.version)
    ]
    own = [one for one in own if not one.ip.is_loopback]
    if not own:
        raise NotFound(f"{target.name} has no IPv{question.version} address")
    if question.source.room is None and question.source.name != HOST:
        return _published(ground, question, [one.ip for one in own])
    near = [one for one in own if _shares(question.source, one)]
    return (near or own)[0].ip, port


def _shares(source: Point, address: object) -> bool:
    found = (a for one in source.devices for a in one.addresses)
    return any(getattr(address, "ip", None) in one.network for one in found)


def _published(ground: Ground, question: Question, own: list[Address]) -> tuple[Address, int]:
    """From outside one asks the host: for the port by which the container's is published."""
    for one in published.look(ground.host.rules):
        fits = one.protocol == question.protocol and question.port in (one.port, one.host_port)
        if fits and ip_address(one.address) in own:
            host = ip_address(one.host_ip) if one.host_ip else None
            return host or _of_the_host(ground, question), one.host_port
    return own[0], question.port


def _of_the_host(ground: Ground, question: Question) -> Address:
    """Return the address by which the host is known: on its way out, else on a bridge."""
    version = question.version
    for way in _defaults(ground, version):
        device = ground.host.device(way)
        found = survey.of_version(device.addresses, version) if device else []
        if found:
            return ip_address(found[0].ip)
    for link in question.source.devices:
        port = ground.host.device(link.peer)
        bridge = ground.host.device(port.master) if port else None
        if bridge and survey.of_version(bridge.addresses, version):
            return ip_address(survey.of_version(bridge.addresses, version)[0].ip)
    if question.source.name == HOST:
        return ip_address("127.0.0.1" if version == 4 else "::1")
    raise NotFound("The host has no address that can be asked", "", "Name an address.")


def _outside(ground: Ground, version: int) -> Address:
    """Return somebody outside: the host's default gateway."""
    try:
        way = ground.host.way(ip_address("8.8.8.8" if version == 4 else "2001:db8::1"), None, 0)
    except OSError:
        way = None
    if way is None or not way.gateway:
        raise NotFound("The host has no default gateway", "", "Name an address instead of outside.")
    return ip_address(way.gateway)


def _defaults(ground: Ground, version: int) -> list[int]:
    try:
        way = ground.host.way(ip_address("8.8.8.8" if version == 4 else "2001:db8::1"), None, 0)
    except OSError:
        return []
    return [way.link]


def _entry(journey: Journey) -> str:
    """Return what the connection tracker remembers, as conntrack(8) prints it."""
    first, last = journey.first, journey.packet
    assert first is not None, "it was sent"
    original = _tuple(first.source, first.source_port, first.target, first.port)
    reply = _tuple(last.target, last.port, last.source, last.source_port)
    return f"{first.protocol} {original} {reply}"


def _tuple(source: Address, source_port: int, target: Address, port: int) -> str:
    ports = f" sport={source_port or '*'} dport={port or '*'}" if source_port or port else ""
    return f"src={source} dst={target}{ports}"
