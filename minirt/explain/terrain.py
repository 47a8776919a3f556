"""What a packet's road depends on, in one network namespace: read once, from the kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from minirt.explain import neighbourhood, ruleset
from minirt.explain.neighbourhood import Room
from minirt.explain.packet import Address, Facts, Packet
from minirt.explain.ruleset import Ruleset
from minirt.kernel import namespaces, socket_diag, sysctl
from minirt.kernel.netlink import survey
from minirt.kernel.netlink.records import Way
from minirt.kernel.netlink.survey import Device
from minirt.kernel.socket_diag import Bound

# to whom, from which address, come in by which link's index (0: sent from here)
FindWay = Callable[[Address, Address | None, int], Way]
# the MAC address of a neighbour behind a link, by the link's index; empty: it is not known
FindNeighbour = Callable[[Address, int], str]
_ALL = ("0.0.0.0", "::")
_FAR_AWAY = IPv4Address("203.0.113.1")  # RFC 5737: nobody's address


@dataclass(frozen=True, slots=True)
class Terrain:
    """One network namespace."""

    name: str
    devices: tuple[Device, ...]
    way: FindWay
    rules: Ruleset = field(default_factory=Ruleset)
    sockets: Callable[[], Iterable[Bound]] = tuple  # asked each time: there may be a million
    filters_bridges: bool = False  # bridge-nf-call-iptables
    pid: int = 0  # of a process inside; 0: the host's own
    mac_of: FindNeighbour = lambda _address, _link: ""
    forwards_ipv6: bool = True  # net.ipv6.conf.all.forwarding
    unread: tuple[str, ...] = ()  # what of it was too large to be read

    def device(self, index: int) -> Device | None:
        """Look a link up by its index."""
        return next((one for one in self.devices if one.index == index), None)

    def named(self, name: str) -> Device | None:
        """Look a link up by its name."""
        return next((one for one in self.devices if one.name == name), None)

    def has(self, address: Address) -> bool:
        """Say whether an address is one of its own."""
        return any(one.ip == address for device in self.devices for one in device.addresses)

    def leads_out(self, device: Device) -> bool:
        """Say whether its default route leaves by this link."""
        try:
            return self.way(_FAR_AWAY, None, 0).link == device.index
        except OSError:
            return False

    def facts(self) -> Facts:
        """Return what rules may ask of it."""
        return Facts(self._kind_of, self._socket_mark, self._own_address)

    def listener(self, packet: Packet) -> Bound | None:
        """Return the socket that takes a new connection, or a datagram."""
        fitting = [
            one
            for one in self.sockets()
            if (one.protocol, one.port) == (packet.protocol, packet.port)
            and (one.address in _ALL or one.address == str(packet.target))
            and (one.address != "0.0.0.0" or packet.version == 4)
        ]
        return min(fitting, key=lambda one: one.address in _ALL, default=None)

    def _kind_of(self, address: Address) -> str:
        if self.has(address) or address.is_loopback:
            return "local"
        try:
            return self.way(address, None, 0).kind
        except OSError:
            return "unicast"

    def _socket_mark(self, packet: Packet) -> int | None:
        found = self.listener(packet)
        return found.mark if found else None

    def _own_address(self, link: str, version: int) -> Address | None:
        device = self.named(link)
        found = survey.of_version(device.addresses, version) if device else []
        return found[0].ip if found else None


@dataclass(frozen=True, slots=True)
class Ground:
    """The host, the namespaces around it, and how to look into one of these."""

    host: Terrain
    rooms: tuple[Room, ...]
    enter: Callable[[Room], Terrain]


@contextmanager
def look(names: dict[int, str]) -> Iterator[Ground]:
    """Look around. ``names`` are the containers, by the pid of a process in each."""
    with ExitStack() as held:
        known: dict[int, Terrain] = {}

        def enter(room: Room) -> Terrain:
            if room.inode not in known:
                name = names.get(room.pid, f"{room.command} (pid {room.pid})")
                known[room.inode] = _terrain(held, name, room.pid)
            return known[room.inode]

        host = _terrain(held, "the host", 0)
        yield Ground(host, tuple(neighbourhood.rooms(names)), enter)


def _terrain(held: ExitStack, name: str, pid: int) -> Terrain:
    netns = held.enter_context(namespaces.network_of(pid)) if pid else None
    here = held.enter_context(survey.look(netns))
    devices = tuple(here.devices(neighbourhood.MOST if pid else None))
    rules, unread = Ruleset(), []
    try:
        rules = ruleset.look(netns)
    except OSError as error:
        if netns is None:
            raise
        unread.append(f"the packet filter of {name} ({error.strerror})")
    if pid and neighbourhood.is_cut(devices):
        unread.append(f"{name} has {neighbourhood.MOST} links or addresses, or more")
    return Terrain(
        name=name,
        devices=devices,
        way=lambda to, source, link: here.way(to, source=source, link=link),
        rules=rules,
        sockets=lambda: socket_diag.bound(netns),
        filters_bridges=not pid and sysctl.read("net/bridge/bridge-nf-call-iptables") == "1",
        pid=pid,
        mac_of=here.neighbour,
        forwards_ipv6=bool(pid) or sysctl.read("net/ipv6/conf/all/forwarding") != "0",
        unread=tuple(unread),
    )
