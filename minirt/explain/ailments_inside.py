"""Ailments inside of containers, and of who else is on the bridge: addresses, routes, names.

What is inside is compared with the lease, which says what the container was given, and with what
its record asks for (:class:`Expected`, from who calls).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address

from minirt.explain import neighbourhood
from minirt.explain.findings import Finding, Patient
from minirt.explain.neighbourhood import Room
from minirt.kernel import namespaces
from minirt.kernel.netlink import survey
from minirt.kernel.netlink.survey import Device
from minirt.network import identity
from minirt.network.block import Address, interface
from minirt.network.facts import Facts
from minirt.network.resolv_conf import ResolvConf

_SOMEBODY = {4: "192.0.2.1", 6: "2001:db8::1"}  # RFC 5737, RFC 3849: nobody's addresses


@dataclass(frozen=True, slots=True)
class Expected:
    """What a container should have inside, by its record and the host's files as they are now."""

    gateways: tuple[str, ...]  # of its default routes, of each family; none: it needs no route
    wanted: ResolvConf  # what its /etc/resolv.conf would be if it were written now
    written: ResolvConf  # what it is


@dataclass(frozen=True, slots=True)
class _Inside:
    """One address of a container, and the link that should have it."""

    name: str
    facts: Facts
    address: Address
    room: Room
    device: Device

    @property
    def enter(self) -> str:
        return f"nsenter --net=/proc/{self.room.pid}/ns/net "


def of_insides(patient: Patient, expected: Mapping[int, Expected]) -> Iterator[Finding]:
    """Look into each living container; ``expected`` by the pid of its init."""
    for text, facts in patient.living.items():
        inside = _look(patient, ip_address(text), facts)
        if inside is None:
            continue
        yield from _link(patient, inside)
        wanted = expected.get(facts.pid)
        if wanted is not None:
            yield from _route(patient, inside, wanted)
            if inside.address.version == 4:
                yield from _names(patient, facts, wanted)


def of_strangers(patient: Patient) -> Iterator[Finding]:
    """Look for leased addresses that somebody else has, on the bridge or on the host."""
    owners = {ip_address(text): facts for text, facts in patient.living.items()}
    for device in patient.host.devices:
        for one in device.addresses:
            if one.ip in owners:
                what = f"{device.name} of the host has {one.ip}, the address of "
                mend = f"ip addr del {one} dev {device.name}"
                yield patient.finding("foreign-address", what + owners[one.ip].name, mend)
    for port, room, device in _behind(patient):
        if room.is_cut:
            who = f"{room.command} (pid {room.pid}), behind {port.name},"
            what = f"{who} has {neighbourhood.MOST} links or addresses, or more"
            yield Finding("crowded", patient.network.name, what, is_fault=False)
        for one in device.addresses:
            owner = owners.get(one.ip)
            if owner is not None and not _is_in(room, owner):
                who = f"{room.command} (pid {room.pid}), behind {port.name},"
                what = f"{who} has {one.ip}, the address of {owner.name}"
                mend = f"ip link set {port.name} nomaster"
                yield patient.finding("foreign-address", what, mend)


def _behind(patient: Patient) -> Iterator[tuple[Device, Room, Device]]:
    """Yield the ports of the bridge that lead into another namespace, and what is there."""
    for port in patient.ports:
        found = neighbourhood.far_end(port, patient.ground.rooms)
        if found is not None:
            yield port, *found


def _is_in(room: Room, owner: Facts) -> bool:
    """Say whether a container is in a network namespace, perhaps with others."""
    found = neighbourhood.room_of(owner.pid)
    return found is None or found.inode == room.inode


def _look(patient: Patient, address: Address, facts: Facts) -> _Inside | None:
    """Return the container and its link; None where it is gone, or its wire is."""
    first = next((a for a in _addresses(patient, facts) if isinstance(a, IPv4Address)), None)
    wire = patient.host.named(identity.host_end(first)) if first else None
    found = neighbourhood.far_end(wire, patient.ground.rooms) if wire else None
    return _Inside(facts.name, facts, address, *found) if found else None


def _addresses(patient: Patient, facts: Facts) -> list[Address]:
    same = (text for text, one in patient.living.items() if one.endpoint == facts.endpoint)
    return [ip_address(text) for text in same]


def _link(patient: Patient, inside: _Inside) -> Iterator[Finding]:
    """Compare the link with the lease."""
    name, device, facts = inside.name, inside.device, inside.facts
    set_link = f"{inside.enter}ip link set {device.name}"
    if not device.up:
        what = f"{device.name} inside of {name} is down"
        yield patient.finding("inside-down", what, f"{set_link} up")
    if isinstance(inside.address, IPv4Address):
        mac = facts.mac or identity.mac_of(inside.address)
        if device.mac != mac:
            what = f"{device.name} inside of {name} has the MAC {device.mac}, not {mac}"
            yield patient.finding("inside-mac", what, f"{set_link} address {mac}")
    own = interface(inside.address, patient.network.block(inside.address.version).subnet)
    if own not in device.addresses:
        wrong = next((one for one in device.addresses if one.ip == own.ip), None)
        what = f"{device.name} inside of {name} lacks its address {own}"
        mend = f"{inside.enter}ip addr add {own} dev {device.name}"
        if wrong is not None:
            what += f" and has {wrong}"
            mend += f"; {inside.enter}ip addr del {wrong} dev {device.name}"
        yield patient.finding("inside-address", what, mend)


def _route(patient: Patient, inside: _Inside, expected: Expected) -> Iterator[Finding]:
    """Look where the container sends what is for its network, and what is for others."""
    version, name, device = inside.address.version, inside.name, inside.device
    block = patient.network.block(version)
    near = _way(inside.room, block.gateway)
    if near is not None and near != (device.index, ""):
        what = f"{name} does not send by {device.name} what is for {block.subnet}"
        mend = f"{inside.enter}ip route replace {block.subnet} dev {device.name}"
        yield patient.finding("inside-route", what, mend)
    if str(block.gateway) not in expected.gateways:
        return
    far = _way(inside.room, ip_address(_SOMEBODY[version]))
    if far is not None and far[1] != str(block.gateway):
        now = f"leads to {far[1] or 'the link'}" if far[0] else "is gone"
        what = f"the default route of {name} {now}, not to {block.gateway}"
        family = "-6 " if version == 6 else ""
        mend = f"{inside.enter}ip {family}route replace default via {block.gateway}"
        yield patient.finding("inside-route", what, mend, is_fault=not inside.facts.trusted)


def _way(room: Room, to: Address) -> tuple[int, str] | None:
    """Return link and gateway of a route from inside, (0, "") for none; None: it has ended."""
    try:
        with namespaces.network_of(room.pid) as netns, survey.look(netns) as there:
            try:
                way = there.way(to)
            except OSError:
                return 0, ""
            return way.link, way.gateway
    except OSError:
        return None


def _names(patient: Patient, facts: Facts, expected: Expected) -> Iterator[Finding]:
    """Compare /etc/resolv.conf with what it would be now."""
    wanted, written = expected.wanted, expected.written
    if wanted.servers != written.servers:
        now, then = (", ".join(one.servers) or "no server" for one in (wanted, written))
        what = f"/etc/resolv.conf of {facts.name} names {then}; it should be {now}"
        yield patient.finding("resolv-conf", what, f"minirt restart {facts.name}")
    elif (wanted.search, wanted.options) != (written.search, written.options):
        what = f"/etc/resolv.conf of {facts.name} has other domains or options than the host's now"
        mend = f"minirt restart {facts.name}"
        yield patient.finding("resolv-conf", what, mend, is_fault=False)
