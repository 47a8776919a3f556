"""Links, addresses and routes: how Python sees them, and how messages carry them."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_interface,
    ip_network,
)

from minirt.kernel import namespaces
from minirt.kernel.netlink.messages import Answer, Values

_UP, _RUNNING = 0x1, 0x40  # IFF_UP and IFF_RUNNING of netdevice(7)
_SKIP_STATISTICS = 0x8  # RTEXT_FILTER_SKIP_STATS: half of an answer, and nobody reads it
_NO_DAD = 0x2  # IFA_F_NODAD: the address is usable at once
_TABLE_MAIN, _UNICAST, _BOOT = 254, 1, 3  # struct rtmsg: which table, what kind, who made it
ETHERNET_MTU = 1500  # bytes; what a new link has (RFC 894)

Address = IPv4Address | IPv6Address
Interface = IPv4Interface | IPv6Interface


@dataclass(frozen=True, slots=True)
class Link:
    """A network interface: its name is for people, its index for the kernel."""

    name: str
    index: int
    kind: str = ""  # "bridge", "veth", …; empty: hardware
    mtu: int = ETHERNET_MTU  # bytes
    up: bool = False
    running: bool = False  # packets pass: a moment after both of its ends were set up


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


# What is said of them, and read from answers.


def link_query(name: str = "", *, index: int = 0) -> Values:
    """Write the question for one link; without a name or index, for all."""
    named = {"IFLA_IFNAME": name} if name else {}
    return {"index": index, **named, "IFLA_EXT_MASK": _SKIP_STATISTICS}


def up() -> Values:
    """Write what sets a link up."""
    return {"flags": _UP, "change": _UP}


def kind(name: str, **data: object) -> Values:
    """Write what kind of virtual link is meant, with what is special to the kind."""
    special = {"IFLA_INFO_DATA": data} if data else {}
    return {"IFLA_LINKINFO": {"IFLA_INFO_KIND": name, **special}}


def read_link(answer: Answer) -> Link:
    """Read struct ifinfomsg."""
    info = answer.get("IFLA_LINKINFO")
    return Link(
        name=answer.get("IFLA_IFNAME"),
        index=answer["index"],
        kind=info.get("IFLA_INFO_KIND", "") if info else "",
        mtu=answer.get("IFLA_MTU"),
        up=bool(answer["flags"] & _UP),
        running=bool(answer["flags"] & _RUNNING),
    )


def address(link: Link, one: Interface) -> Values:
    """Write an address of a link."""
    v6 = one.version == 6
    return {
        "family": socket.AF_INET6 if v6 else socket.AF_INET,
        "prefixlen": one.network.prefixlen,
        "flags": _NO_DAD if v6 else 0,
        "index": link.index,
        "IFA_LOCAL": str(one.ip),
        "IFA_ADDRESS": str(one.ip),
    }


def read_address(answer: Answer) -> Interface:
    """Read struct ifaddrmsg. IFA_LOCAL is ours where IFA_ADDRESS is the other end's."""
    found = answer.get("IFA_LOCAL") or answer.get("IFA_ADDRESS")
    return ip_interface(f"{found}/{answer['prefixlen']}")


def routes_query(family: int) -> Values:
    """Write the question for all routes of the main table."""
    return {"family": family, "table": _TABLE_MAIN, "RTA_TABLE": _TABLE_MAIN}


def default_route(gateway: Address) -> Values:
    """Write the route for what no other one takes."""
    family = socket.AF_INET6 if gateway.version == 6 else socket.AF_INET
    words = {"type": _UNICAST, "proto": _BOOT, "RTA_GATEWAY": str(gateway)}
    return {**routes_query(family), **words}


def read_route(answer: Answer) -> Route:
    """Read struct rtmsg; no destination means the default route."""
    anywhere = "::" if answer["family"] == socket.AF_INET6 else "0.0.0.0"
    return Route(
        ip_network(f"{answer.get('RTA_DST', anywhere)}/{answer['dst_len']}"),
        answer.get("RTA_OIF", 0),
        answer.get("RTA_GATEWAY", ""),
    )
