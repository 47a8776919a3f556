"""Links, addresses and routes: how Python sees them, and how messages carry them."""

from __future__ import annotations

import socket
import struct
import sys
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
from typing import Any

from minirt.kernel import namespaces, nlmsg

UP, RUNNING = 0x1, 0x40  # IFF_UP and IFF_RUNNING of netdevice(7)
_LINK = struct.Struct("=BxHiII")  # struct ifinfomsg: family, type, index, flags, which to change
_IFNAME, _MTU, _LINKINFO, _INFO_KIND = 3, 4, 18, 1  # include/uapi/linux/if_link.h
_SKIP_STATISTICS = 0x8  # RTEXT_FILTER_SKIP_STATS: half of an answer, and nobody reads it
_NO_DAD = 0x2  # IFA_F_NODAD: the address is usable at once
_TABLE_MAIN, _UNICAST, _BOOT = 254, 1, 3  # struct rtmsg: which table, what kind, who made it
_NO_LINK_LOCAL = 1  # IN6_ADDR_GEN_MODE_NONE of include/uapi/linux/if_link.h
ETHERNET_MTU = 1500  # bytes; what a new link has (RFC 894)

Address = IPv4Address | IPv6Address
Interface = IPv4Interface | IPv6Interface
Attribute = tuple[str, Any]


@dataclass(frozen=True, slots=True)
class Link:
    """A network interface: its name is for people, its index for the kernel."""

    name: str
    index: int
    kind: str = ""  # "bridge", "veth", …; empty: hardware, or not asked for
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


# Their messages: pyroute2 is imported when the first one is written.


def link_message(
    name: str = "",
    *,
    index: int = 0,
    up: bool | None = None,
    attributes: tuple[Attribute, ...] = (),
) -> Any:
    """Write struct ifinfomsg for the link of that name or index; ``up`` None: left as it is."""
    from minirt.kernel.netlink.messages import LinkMessage

    message = LinkMessage()
    message["index"] = index
    message["flags"], message["change"] = UP if up else 0, 0 if up is None else UP
    message["attrs"] = [*([("IFLA_IFNAME", name)] if name else []), *attributes]
    return message


def link_query(name: str = "", *, index: int = 0) -> Any:
    """Write the question for one link."""
    return link_message(name, index=index, attributes=(("IFLA_EXT_MASK", _SKIP_STATISTICS),))


def kind(name: str, data: list[Attribute] | None = None) -> Attribute:
    """Write what kind of virtual link is meant, with what is special to the kind."""
    info: list[Attribute] = [("IFLA_INFO_KIND", name)]
    if data:
        info.append(("IFLA_INFO_DATA", {"attrs": data}))
    return ("IFLA_LINKINFO", {"attrs": info})


def veth_message(name: str, bridge: Link, peer: Peer, mtu: int) -> Any:
    """Write a veth pair, with one end in a bridge; ``mtu`` in bytes."""
    size: list[Attribute] = [] if mtu == ETHERNET_MTU else [("IFLA_MTU", mtu)]
    far: list[Attribute] = [("IFLA_IFNAME", peer.name), ("IFLA_ADDRESS", peer.mac), *size]
    far.append(("IFLA_NET_NS_FD", peer.netns.fd))
    pair = kind("veth", [("VETH_INFO_PEER", {"attrs": far})])
    return link_message(name, up=True, attributes=(("IFLA_MASTER", bridge.index), *size, pair))


def port_message(name: str, *, isolated: bool) -> Any:
    """Write the settings of a bridge's port."""
    port = [("IFLA_BRPORT_MODE", 1), ("IFLA_BRPORT_ISOLATED", int(isolated))]
    info = [("IFLA_INFO_SLAVE_KIND", "bridge"), ("IFLA_INFO_SLAVE_DATA", {"attrs": port})]
    inet6 = {"attrs": [("IFLA_INET6_ADDR_GEN_MODE", _NO_LINK_LOCAL)]}
    attributes: tuple[Attribute, ...] = (
        ("IFLA_LINKINFO", {"attrs": info}),
        ("IFLA_AF_SPEC", {"attrs": [("AF_INET6", inet6)]}),
    )
    return link_message(name, attributes=attributes)


def read_link(message: bytes) -> Link:
    """Read struct ifinfomsg: by ourselves, of its sixty attributes the three that are wanted.

    A wire's start asks for links four times, and pyroute2 takes 0.4 ms for each.
    """
    _, _, index, flags, _ = _LINK.unpack_from(message)
    found = nlmsg.attributes(message[_LINK.size :])
    info = nlmsg.attributes(found.get(_LINKINFO, b""))
    return Link(
        name=_text(found[_IFNAME]),
        index=index,
        kind=_text(info.get(_INFO_KIND, b"")),
        mtu=int.from_bytes(found[_MTU], sys.byteorder),
        up=bool(flags & UP),
        running=bool(flags & RUNNING),
    )


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode()


def address_message(link: Link | None, address: Interface | None = None) -> Any:
    """Write struct ifaddrmsg: an address of a link, or the question for all of them."""
    from minirt.kernel.netlink.messages import AddressMessage

    message = AddressMessage()
    message["index"] = link.index if link else 0
    if address is not None:
        v6 = address.version == 6
        message["family"] = socket.AF_INET6 if v6 else socket.AF_INET
        message["prefixlen"] = address.network.prefixlen
        message["flags"] = _NO_DAD if v6 else 0
        message["attrs"] = [("IFA_LOCAL", str(address.ip)), ("IFA_ADDRESS", str(address.ip))]
    return message


def read_address(message: Any) -> Interface:
    """Read struct ifaddrmsg. IFA_LOCAL is ours where IFA_ADDRESS is the other end's."""
    address = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
    return ip_interface(f"{address}/{message['prefixlen']}")


def route_message(family: int, gateway: Address | None = None) -> Any:
    """Write struct rtmsg: the default route to ``gateway``, or the question for all routes."""
    from minirt.kernel.netlink.messages import RouteMessage

    message = RouteMessage()
    message["family"], message["table"] = family, _TABLE_MAIN
    message["attrs"] = [("RTA_TABLE", _TABLE_MAIN)]
    if gateway is not None:
        message["type"], message["proto"] = _UNICAST, _BOOT
        message["attrs"].append(("RTA_GATEWAY", str(gateway)))
    return message


def read_route(message: Any) -> Route:
    """Read struct rtmsg; no destination means the default route."""
    anywhere = "::" if message["family"] == socket.AF_INET6 else "0.0.0.0"
    to = message.get_attr("RTA_DST") or anywhere
    return Route(
        ip_network(f"{to}/{message['dst_len']}"),
        message.get_attr("RTA_OIF") or 0,
        message.get_attr("RTA_GATEWAY") or "",
    )
