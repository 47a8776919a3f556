"""The road of a packet, predicted: from routes, bridges and rules as the kernel has them.

Every question that the kernel can be asked is asked of it ("ip route get" from the right
namespace and link); what it can't be asked – what a rule would do – is worked out by
walk.py, rule by rule. So what is told here holds for rules that are not ours, too.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

from minirt.explain.journey import Journey, Refusal, Stopped
from minirt.explain.neighbourhood import Room
from minirt.explain.packet import Address, Packet
from minirt.explain.terrain import Terrain
from minirt.explain.walk import Walk
from minirt.kernel.netlink.records import Way
from minirt.kernel.netlink.survey import Device

# ---- where it begins -------------------------------------------------------------------


def from_room(journey: Journey, room: Room) -> str:
    """Send it from a namespace; return where it arrives. Raises Stopped."""
    there = journey.ground.enter(room)
    way = journey.way(there, None, 0)
    journey.packet = replace(journey.packet, source=_source(there, way, journey.packet))
    journey.first = journey.packet
    journey.hook(there, "output", "is sent", leaves=_name(there, way.link))
    if there.has(journey.packet.target) or way.kind == "local":
        journey.tell(there, "stays inside, on lo")
        return _hand_over(journey, there, "lo")
    device = there.device(way.link)
    if device is None or device.kind != "veth":
        journey.tell(there, f"leaves by {device.name if device else '?'}")
        return "the other end of that link"
    target = way.gateway or str(journey.packet.target)
    route = f"default gateway {way.gateway}" if way.gateway else "a neighbour on the link"
    journey.tell(there, f"leaves by {device.name} for {target}, {route}")
    port = journey.host.device(device.peer)
    if port is None or not port.master:
        return "the other end of a wire that is in no bridge of this host"
    journey.packet = replace(journey.packet, mac=device.mac)
    return _over_bridge(journey, port, ip_address(target), (there, device))


def from_host(journey: Journey) -> str:
    """Send it from the host."""
    host = journey.host
    way = journey.way(host, None, 0)
    journey.packet = replace(journey.packet, source=_source(host, way, journey.packet))
    journey.first = journey.packet
    journey.is_tracked = True
    before = journey.packet.target
    journey.hook(host, "output", "is sent", leaves=_name(host, way.link))
    if journey.packet.target != before:
        way = journey.way(host, None, 0)
    if way.kind == "local":
        journey.tell(host, "stays on the host")
        return _hand_over(journey, host, "lo")
    return _depart(journey, way)


def from_outside(journey: Journey, link: int) -> str:
    """Let it come in by a link of the host."""
    host = journey.host
    journey.first = journey.packet
    journey.tell(host, f"comes in by {_name(host, link)}")
    return _arrive(journey, _name(host, link))


# ---- on a bridge -----------------------------------------------------------------------


def _over_bridge(
    journey: Journey, port: Device, neighbour: Address, sender: tuple[Terrain, Device]
) -> str:
    host = journey.host
    bridge = host.device(port.master)
    assert bridge is not None, "a port has a bridge"
    if not (bridge.up and port.up):
        down = bridge.name if not bridge.up else port.name
        raise journey.stop(host, "down", f"{down} is down")
    found = _find(journey, bridge, neighbour)
    if found and port.isolated and found[2].isolated and not host.has(neighbour):
        # Not even the question for its MAC comes through.
        why = f"{port.name} and {found[2].name} are isolated ports of {bridge.name}"
        raise journey.stop(host, "isolated", why)
    receiver = bridge.mac if host.has(neighbour) else found[1].mac if found else ""
    there, link = sender
    believed = there.mac_of(neighbour, link.index) or receiver
    journey.packet = replace(
        journey.packet, came_by=port.name, bridge=bridge.name, target_mac=believed
    )
    journey.hook(
        host, "prerouting", f"comes in by {port.name}, a port of {bridge.name}", bridged=True
    )
    _check_neighbour(journey, there, link, neighbour, receiver)
    if host.has(neighbour):
        journey.tell(host, f"is for {bridge.name} itself: {neighbour} is the host's")
        journey.hook(host, "input", "comes in", bridged=True)
        return _arrive(journey, bridge.name)
    if host.filters_bridges:
        journey.packet = replace(journey.packet, came_by=bridge.name, leaves_by=bridge.name)
        journey.is_tracked = True
        journey.hook(host, "prerouting", "br_netfilter shows it to the filter")
    room, device, other = _neighbour(journey, bridge, neighbour)
    journey.packet = replace(journey.packet, came_by=port.name, leaves_by=other.name)
    journey.tell(host, f"is bridged from {port.name} to {other.name}, ports of {bridge.name}")
    journey.hook(host, "forward", "is bridged", bridged=True)
    if host.filters_bridges:
        journey.packet = replace(journey.packet, came_by=bridge.name, leaves_by=bridge.name)
        journey.entered = journey.left = bridge.name
        journey.hook(host, "forward", "br_netfilter shows it to the filter")
        journey.hook(host, "postrouting", "br_netfilter shows it to the filter")
    return _enter(journey, room, device)


def _neighbour(journey: Journey, bridge: Device, address: Address) -> tuple[Room, Device, Device]:
    """Return who has an address behind a bridge, and its port. Raises Stopped."""
    found = _find(journey, bridge, address)
    if found is None:
        why = f"nobody on {bridge.name} has the address {address}: no answer to ARP"
        raise journey.stop(journey.host, "nobody", why)
    return found


def _check_neighbour(
    journey: Journey, there: Terrain, link: Device, neighbour: Address, mac: str
) -> None:
    """Refuse what is sent to another MAC address than the one its receiver has."""
    believed = there.mac_of(neighbour, link.index)
    if not (believed and mac) or believed == mac:
        return
    why = f"{there.name} sends what is for {neighbour} to {believed}, but it has {mac}"
    inside = f"nsenter --net=/proc/{there.pid}/ns/net " if there.pid else ""
    remedy = f"{inside}ip neigh del {neighbour} dev {link.name}"
    raise journey.stop(there, "neighbour", why, remedy)


def _find(journey: Journey, bridge: Device, address: Address) -> tuple[Room, Device, Device] | None:
    ports = {one.index: one for one in journey.host.devices if one.master == bridge.index}
    for room in journey.ground.rooms:
        for device in room.devices:
            port = ports.get(device.peer)
            fits = port is not None and port.peer == device.index
            if port and fits and any(one.ip == address for one in device.addresses):
                return room, device, port
    return None


# ---- in the host's stack ---------------------------------------------------------------


def _arrive(journey: Journey, by: str) -> str:
    host = journey.host
    journey.packet = replace(journey.packet, came_by=by, leaves_by="", bridge="")
    if not journey.is_tracked:
        journey.hook(host, "prerouting", f"enters the stack by {by}")
    journey.is_tracked = True
    link = host.named(by)
    way = journey.way(host, journey.packet.source, link.index if link else 0)
    if way.kind == "local":
        journey.hook(host, "input", "is for the host")
        return _hand_over(journey, host, by)
    if journey.packet.version == 6 and not host.forwards_ipv6:  # It has routes all the same.
        remedy = "sysctl -w net.ipv6.conf.all.forwarding=1"
        raise journey.stop(host, "not forwarding", f"{host.name} does not forward IPv6", remedy)
    leaves = _name(host, way.link)
    journey.packet = replace(journey.packet, leaves_by=leaves)
    journey.entered, journey.left = by, leaves
    journey.hook(host, "forward", f"is forwarded from {by} to {leaves}", always=True)
    return _depart(journey, way)


def _depart(journey: Journey, way: Way) -> str:
    host = journey.host
    leaves = host.device(way.link)
    assert leaves is not None, "the route's link"
    journey.packet = replace(journey.packet, leaves_by=leaves.name)
    neighbour = ip_address(way.gateway) if way.gateway else journey.packet.target
    if leaves.kind != "bridge":
        what = f"leaves by {leaves.name}, to {neighbour}"
        journey.hook(host, "postrouting", what, always=True)
        _check_translated(journey)
        return f"outside: {neighbour} has it"
    room, device, port = _neighbour(journey, leaves, neighbour)
    what = f"leaves by {leaves.name}, to its port {port.name}"
    journey.hook(host, "postrouting", what, always=True)
    journey.packet = replace(journey.packet, leaves_by=port.name)
    journey.hook(host, "postrouting", "is bridged", bridged=True)
    _check_neighbour(journey, host, leaves, neighbour, device.mac)
    return _enter(journey, room, device)


def _check_translated(journey: Journey) -> None:
    """See that nobody outside has to answer to an address that only this host knows."""
    network, source = journey.hidden.get(journey.entered), journey.packet.source
    if network and not journey.host.has(source) and "snat" not in journey.packet.status:
        why = f"it leaves as {source}, which nobody outside can answer: no rule translates it"
        remedy = f"minirt network reload {network}"
        raise journey.stop(journey.host, "not translated", why, remedy)


# ---- where it ends ---------------------------------------------------------------------


def _enter(journey: Journey, room: Room, device: Device) -> str:
    there = journey.ground.enter(room)
    journey.packet = replace(journey.packet, came_by=device.name, leaves_by="", bridge="")
    journey.hook(there, "prerouting", f"arrives at {device.name}")
    journey.tell(there, f"arrives at {device.name}")
    if not there.has(journey.packet.target):
        raise journey.stop(
            there, "stranger", f"{journey.packet.target} is no address of {there.name}"
        )
    journey.hook(there, "input", "is for it")
    return _hand_over(journey, there, device.name)


def _hand_over(journey: Journey, there: Terrain, by: str) -> str:
    """Look for the socket that it is for."""
    packet = journey.packet
    if packet.protocol == "icmp":
        _check_way_back(journey, there)
        return there.name
    found = there.listener(packet)
    if found is None:
        why = f"nobody in {there.name} listens at {packet.protocol} port {packet.port}"
        raise journey.stop(there, "closed", why)
    _check_way_back(journey, there)
    return f"{there.name}, where a process listens at {packet.protocol} port {packet.port}"


def _check_way_back(journey: Journey, there: Terrain) -> None:
    """See that the answer has a route, and the filter's permission on the host."""
    try:
        there.way(journey.packet.source, None, 0)
    except OSError as error:
        why = f"{there.name} has no route back to {journey.packet.source}"
        raise journey.stop(there, "no way back", f"{why} ({error.strerror})") from None
    _check_neighbours_back(journey, there)
    if journey.left:
        host = journey.host
        answer = replace(
            journey.packet,
            source=journey.packet.target,
            target=journey.packet.source,
            came_by=journey.left,
            leaves_by=journey.entered,
            state="established",
        )
        walk = Walk(host.rules, host.facts(), [], [])
        if walk.hook(answer, "forward") is None:
            by = walk.crossed[-1]
            why = f"the answer is dropped by {by.place}: {by.text}"
            refusal = Refusal(host.name, "answer", why, by, journey.left, journey.entered)
            raise Stopped(refusal)


def _check_neighbours_back(journey: Journey, there: Terrain) -> None:
    """See that the answer is sent to the MAC addresses that its receivers have."""
    way = there.way(journey.packet.source, None, 0)
    link = there.device(way.link)
    port = journey.host.device(link.peer) if link and there.pid else None
    bridge = journey.host.device(port.master) if port and port.master else None
    if link is None or bridge is None:
        return
    neighbour = ip_address(way.gateway) if way.gateway else journey.packet.source
    found = _find(journey, bridge, neighbour)
    mac = bridge.mac if journey.host.has(neighbour) else found[1].mac if found else ""
    _check_neighbour(journey, there, link, neighbour, mac)


def _source(there: Terrain, way: Way, packet: Packet) -> Address:
    if way.source:
        return ip_address(way.source)
    return packet.target if way.kind == "local" else packet.source


def _name(there: Terrain, index: int) -> str:
    device = there.device(index)
    return device.name if device else f"link {index}"
