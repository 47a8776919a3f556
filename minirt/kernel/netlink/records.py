"""Links, addresses and routes as Python sees them."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)

from minirt.kernel import namespaces

ETHERNET_MTU = 1500  # bytes; what a new link has (RFC 894)

Address = IPv4Address | IPv6Address
Interface = IPv4Interface | IPv6Interface


@dataclass(frozen=True, slots=True)
class Link:
    """A network interface: its name is for people, its index for the kernel."""

    name: str
    index: int
    kind: str = ""  # "bridge", "veth", …; empty: hardware, or not asked for
    mtu: int = ETHERNET_MTU  # bytes
    up: bool = False
    running: bool = False  # packets pass: a moment after both of its ends were set up
    switches: bytes = b""  # IFLA_AF_SPEC, for messages.switch
    data: bytes = b""  # IFLA_INFO_DATA, what links of this kind have; for messages.learns_from_all


LOOPBACK = Link("lo", 1)  # LOOPBACK_IFINDEX of include/net/flow.h


@dataclass(frozen=True, slots=True)
class Peer:
    """The far end of a veth pair, at the moment of its birth."""

    name: str
    mac: str
    netns: namespaces.Netns


@dataclass(frozen=True, slots=True)
class Route:
    """Where packets for a network go: out of a link, perhaps to a gateway."""

    to: IPv4Network | IPv6Network
    link: int  # its index; 0: none
    gateway: str


@dataclass(frozen=True, slots=True)
class Way:
    """Where the kernel sends a packet."""

    kind: str  # "unicast" or "local" mostly; see messages.KINDS
    link: int = 0  # the index of the link it leaves by
    gateway: str = ""
    source: str = ""  # the address that a sender without one gets
