"""A packet under way, on paper: where it is, what it looks like by now, and what it has met."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from minirt.explain.packet import Address, Packet
from minirt.explain.terrain import Ground, Terrain
from minirt.explain.walk import Crossed, Walk
from minirt.kernel.conntrack import Flow
from minirt.kernel.netlink.records import Way


@dataclass(frozen=True, slots=True)
class Hop:
    """A place on the road: what happens there, by which rules, and how the packet looks after."""

    where: str
    what: str
    packet: str
    rules: tuple[Crossed, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the packet goes no further."""

    where: str
    reason: str  # a word for programs, and for remedies.py
    why: str
    by: Crossed | None = None
    came_by: str = ""
    leaves_by: str = ""
    remedy: str = ""  # a command, where it is known at once


@dataclass(frozen=True, slots=True)
class Road:
    """The whole road, as far as it goes."""

    first: Packet
    last: Packet
    hops: tuple[Hop, ...]
    refusal: Refusal | None
    end: str  # where it arrived
    returns_by: str = ""  # the connection tracker's entry
    doubts: tuple[str, ...] = ()  # rules that could not be read
    astray: tuple[Flow, ...] = ()  # flows that began before, and are still led elsewhere


class Stopped(Exception):
    """The packet goes no further."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.why)
        self.refusal = refusal


@dataclass(slots=True)
class Journey:
    """One packet on its way over the ground."""

    ground: Ground
    packet: Packet
    hops: list[Hop] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    is_tracked: bool = False  # the host's connection tracker has seen it
    entered: str = ""  # links of the host between which it was forwarded
    left: str = ""
    first: Packet | None = None  # as it was sent
    hidden: Mapping[str, str] = field(default_factory=dict)  # bridges whose networks masquerade

    @property
    def host(self) -> Terrain:
        """Return the host."""
        return self.ground.host

    def way(self, there: Terrain, source: Address | None, link: int) -> Way:
        """Ask for the route from here. Raises Stopped where there is none."""
        try:
            way = there.way(self.packet.target, source, link)
        except OSError as error:
            raise self.stop(there, *_no_way(error, there, self.packet, link)) from None
        if way.kind in ("unreachable", "prohibit", "blackhole"):
            raise self.stop(there, "no route", f"a route says {way.kind}")
        return way

    def hook(
        self,
        there: Terrain,
        hook: str,
        what: str,
        *,
        bridged: bool = False,
        leaves: str = "",
        always: bool = False,
    ) -> None:
        """Pass the rules of a hook; tell it if one of them did something, or ``always``."""
        if leaves:
            self.packet = replace(self.packet, leaves_by=leaves)
        self.doubts += there.unread
        crossed: list[Crossed] = []
        walk = Walk(there.rules, there.facts(), crossed, self.doubts)
        packet = walk.hook(self.packet, hook, bridged=bridged)
        if packet is None:
            by = crossed[-1]
            self.tell(there, what, crossed)
            came_by, leaves_by = self.packet.came_by, self.packet.leaves_by
            why = f"{by.place}: {by.text}"
            raise Stopped(Refusal(there.name, "rule", why, by, came_by, leaves_by))
        self.packet = packet
        if always or any(one.verdict not in ("jump", "goto", "return") for one in crossed):
            self.tell(there, what, crossed)

    def tell(self, there: Terrain, what: str, crossed: list[Crossed] | None = None) -> None:
        """Note a hop."""
        self.hops.append(Hop(there.name, what, self.packet.ends, tuple(crossed or ())))

    def stop(self, there: Terrain, reason: str, why: str, remedy: str = "") -> Stopped:
        """Return the end of the journey, to be raised."""
        came_by, leaves_by = self.packet.came_by, self.packet.leaves_by
        return Stopped(Refusal(there.name, reason, why, None, came_by, leaves_by, remedy))


def _no_way(error: OSError, there: Terrain, packet: Packet, link: int) -> tuple[str, str]:
    if error.errno == errno.EHOSTUNREACH and link:
        return "not forwarding", f"{there.name} does not forward packets"
    if error.errno in (errno.EINVAL, errno.EXDEV) and link:
        came = f"{packet.source} must not come in by {packet.came_by}"
        return "rp_filter", f"{came} (reverse path filter, or a reserved address)"
    words = os.strerror(error.errno or 0)
    return "no route", f"{there.name} has no route to {packet.target} ({words})"
