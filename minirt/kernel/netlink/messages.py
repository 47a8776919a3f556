"""Links, addresses and routes as rtnetlink(7) carries them: a struct, then attributes.

    struct ifinfomsg | IFLA_IFNAME "v" | IFLA_MASTER 5 | IFLA_LINKINFO ( IFLA_INFO_KIND "veth" … )

The numbers are those of include/uapi/linux/if_link.h, if_addr.h, rtnetlink.h and veth.h.
"""

from __future__ import annotations

import socket
import struct
import sys
from ipaddress import ip_address, ip_interface, ip_network

from minirt.kernel.netlink.records import (
    ETHERNET_MTU,
    Address,
    Interface,
    Link,
    Peer,
    Route,
    Way,
)
from minirt.kernel.nlmsg import attribute, attributes

# The types of messages, RTM_*
NEWLINK, DELLINK, GETLINK = 16, 17, 18
NEWADDR, DELADDR, GETADDR = 20, 21, 22
NEWROUTE, DELROUTE, GETROUTE = 24, 25, 26
GETNEIGH = 30

UP, RUNNING = 0x1, 0x40  # IFF_UP and IFF_RUNNING of netdevice(7)

_LINK = struct.Struct("=BxHiII")  # struct ifinfomsg: family, type, index, flags, which to change
_MAC, _NAME, _MTU, _PARENT, _MASTER, _INFO = 1, 3, 4, 5, 10, 18  # IFLA_ADDRESS, IFLA_IFNAME, …
_PER_FAMILY, _NETNS_FD, _MASK = 26, 28, 29  # IFLA_AF_SPEC, IFLA_NET_NS_FD, IFLA_EXT_MASK
_KIND, _DATA, _PORT_KIND, _PORT_DATA = 1, 2, 4, 5  # IFLA_INFO_KIND, …_DATA, …_SLAVE_KIND, …
_FAR_END, _MODE = 1, 1  # VETH_INFO_PEER, IFLA_MACVLAN_MODE
_HAIRPIN, _GROUPS, _ISOLATED = 4, 31, 33  # IFLA_BRPORT_MODE, …_GROUP_FWD_MASK, …
# The groups 01:80:c2:00:00:00-0f, a bit each, but 01: a bridge drops what is sent to that one.
LINK_LOCAL_GROUPS = 0xFFFD
_OPTIONS, _NO_LINK_LOCAL_LEARNING = 46, 1  # IFLA_BR_MULTI_BOOLOPT, BR_BOOLOPT_NO_LL_LEARN as a bit
_OPTION = struct.Struct("=II")  # struct br_boolopt_multi: the values, and which of them count
_ADDR_GEN_MODE = 8  # IFLA_INET6_ADDR_GEN_MODE
_NO_LINK_LOCAL = 1  # IN6_ADDR_GEN_MODE_NONE
_NO_STATISTICS = 0x8  # RTEXT_FILTER_SKIP_STATS: half of an answer, and nobody reads it
_MACVLAN_MODES = {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8}

_ADDRESS = struct.Struct("=BBBBi")  # struct ifaddrmsg: family, prefix length, flags, scope, link
_ITS_PEER, _LOCAL = 1, 2  # IFA_ADDRESS, IFA_LOCAL
_NO_DAD = 0x2  # IFA_F_NODAD: the address is usable at once

# struct rtmsg: family, lengths of destination and source, TOS, table, protocol, scope, type, flags
_ROUTE = struct.Struct("=BBBBBBBBI")
_TO, _FROM, _IN, _OUT, _GATEWAY, _SOURCE = 1, 2, 3, 4, 5, 7  # RTA_DST, RTA_SRC, RTA_IIF, …
_MAIN, _STATIC, _UNICAST = 254, 3, 1  # RT_TABLE_MAIN, RTPROT_BOOT, RTN_UNICAST

# struct ndmsg: family, link, state, flags, type (rtnetlink(7); include/uapi/linux/neighbour.h)
_NEIGHBOUR = struct.Struct("=B3xiHBB")
_ITS_ADDRESS, _ITS_MAC = 1, 2  # NDA_DST, NDA_LLADDR
_UNUSABLE = 0x01 | 0x20 | 0x40  # NUD_INCOMPLETE, NUD_FAILED, NUD_NOARP

# Switches of a link, by their paths below /proc/sys: the family, IFLA_INET_CONF or
# IFLA_INET6_CONF, and the place there, IPV4_DEVCONF_* of linux/ip.h and DEVCONF_* of linux/ipv6.h.
SWITCHES = {
    "net/ipv4/conf/IFNAME/forwarding": (socket.AF_INET, 1, 0),
    "net/ipv4/conf/IFNAME/arp_ignore": (socket.AF_INET, 1, 18),
    "net/ipv4/conf/IFNAME/route_localnet": (socket.AF_INET, 1, 25),
    "net/ipv6/conf/IFNAME/accept_ra": (socket.AF_INET6, 2, 3),
    "net/ipv6/conf/IFNAME/disable_ipv6": (socket.AF_INET6, 2, 26),
    "net/ipv6/conf/IFNAME/accept_dad": (socket.AF_INET6, 2, 27),
}

# The types of routes: RTN_*
KINDS = {1: "unicast", 2: "local", 3: "broadcast", 5: "multicast", 6: "blackhole"}
KINDS |= {7: "unreachable", 8: "prohibit"}


def link(name: str = "", *, index: int = 0, up: bool | None = None, more: bytes = b"") -> bytes:
    """Write a link by its name or index; ``up`` None: left as it is; ``more`` are attributes."""
    flags, change = UP if up else 0, 0 if up is None else UP
    named = _text(_NAME, name) if name else b""
    return _LINK.pack(socket.AF_UNSPEC, 0, index, flags, change) + named + more


def link_query(name: str = "", *, index: int = 0) -> bytes:
    """Write the question for a link, or for all."""
    return link(name, index=index, more=_number(_MASK, _NO_STATISTICS))


def bridge(name: str, mac: str) -> bytes:
    """Write a bridge that is up."""
    return link(name, up=True, more=_mac(mac) + _kind("bridge", _learning_from_ports()))


def without_link_local_learning(bridge: Link) -> bytes:
    """Write that a bridge learns no MAC from frames to the addresses of switches."""
    return link(index=bridge.index, more=_kind("bridge", _learning_from_ports()))


def learns_from_all(bridge: Link) -> bool:
    """Say whether a bridge learns MACs also from frames to the addresses of switches."""
    found = attributes(bridge.data).get(_OPTIONS, bytes(_OPTION.size))
    return not _OPTION.unpack(found)[0] & _NO_LINK_LOCAL_LEARNING


def veth(name: str, bridge: Link, peer: Peer, mtu: int) -> bytes:
    """Write a veth pair, with one end in a bridge; ``mtu`` in bytes."""
    size = b"" if mtu == ETHERNET_MTU else with_mtu(mtu)
    far = link(peer.name, more=_mac(peer.mac) + size + _number(_NETNS_FD, peer.netns.fd))
    pair = _kind("veth", attribute(_FAR_END, far))
    return link(name, up=True, more=with_master(bridge) + size + pair)


def macvlan(parent: Link, peer: Peer, mode: str, mtu: int) -> bytes:
    """Write a macvlan link of a parent; ``mtu`` in bytes, 0: the parent's."""
    more = _number(_PARENT, parent.index) + _mac(peer.mac) + _number(_NETNS_FD, peer.netns.fd)
    more += with_mtu(mtu) if mtu else b""
    return link(peer.name, more=more + _kind("macvlan", _number(_MODE, _MACVLAN_MODES[mode])))


def port(name: str, *, isolated: bool) -> bytes:
    """Write the settings of a bridge's port."""
    settings = attribute(_HAIRPIN, b"\1")
    settings += attribute(_GROUPS, LINK_LOCAL_GROUPS.to_bytes(2, sys.byteorder))
    settings += attribute(_ISOLATED, bytes([isolated]))
    info = _text(_PORT_KIND, "bridge") + attribute(_PORT_DATA, settings)
    inet6 = attribute(socket.AF_INET6, attribute(_ADDR_GEN_MODE, bytes([_NO_LINK_LOCAL])))
    return link(name, more=attribute(_INFO, info) + attribute(_PER_FAMILY, inet6))


def with_master(bridge: Link) -> bytes:
    """Write whose port a link is to be."""
    return _number(_MASTER, bridge.index)


def with_mtu(mtu: int) -> bytes:
    """Write the size of a link's largest packet, in bytes."""
    return _number(_MTU, mtu)


def address(link: Link | None, address: Interface | None = None) -> bytes:
    """Write an address of a link, or the question for all of it, or of all links."""
    index = link.index if link else 0
    if address is None:
        return _ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, index)
    flags = _NO_DAD if address.version == 6 else 0
    start = _ADDRESS.pack(_family(address.version), address.network.prefixlen, flags, 0, index)
    packed = address.ip.packed
    return start + attribute(_LOCAL, packed) + attribute(_ITS_PEER, packed)


def default_route(gateway: Address) -> bytes:
    """Write the way for what no other route takes."""
    family = _family(gateway.version)
    start = _ROUTE.pack(family, 0, 0, 0, _MAIN, _STATIC, 0, _UNICAST, 0)
    return start + attribute(_GATEWAY, gateway.packed)


def routes_query(version: int) -> bytes:
    """Write the question for all routes of the main table."""
    return _ROUTE.pack(_family(version), 0, 0, 0, _MAIN, 0, 0, 0, 0)


def way_query(to: Address, source: Address | None, link: int) -> bytes:
    """Write the question where a packet would go that comes in by ``link``; 0: one from here."""
    bits = source.max_prefixlen if source else 0
    message = _ROUTE.pack(_family(to.version), to.max_prefixlen, bits, 0, 0, 0, 0, 0, 0)
    message += attribute(_TO, to.packed)
    message += attribute(_FROM, source.packed) if source else b""
    return message + (_number(_IN, link) if link else b"")


def read_link(message: bytes) -> Link:
    """Read struct ifinfomsg: of its sixty attributes the few that are wanted."""
    _, _, index, flags, _ = _LINK.unpack_from(message)
    found = attributes(message[_LINK.size :])
    info = attributes(found.get(_INFO, b""))
    return Link(
        name=found[_NAME].rstrip(b"\0").decode(),
        index=index,
        kind=info.get(_KIND, b"").rstrip(b"\0").decode(),
        mtu=_int(found[_MTU]),
        up=bool(flags & UP),
        running=bool(flags & RUNNING),
        switches=found.get(_PER_FAMILY, b""),
        data=info.get(_DATA, b""),
    )


def switch(link: Link, path: str) -> str | None:
    """Return how a switch of a link stood when the kernel told of that; None: it told nothing."""
    family, kind, place = SWITCHES[path]
    values = attributes(attributes(link.switches).get(family, b"")).get(kind, b"")
    value = values[4 * place : 4 * place + 4]
    return str(int.from_bytes(value, sys.byteorder, signed=True)) if value else None


def read_address(message: bytes) -> tuple[int, Interface]:
    """Read struct ifaddrmsg: a link's index, and its address.

    IFA_LOCAL is ours where IFA_ADDRESS is the other end's.
    """
    _, bits, _, _, index = _ADDRESS.unpack_from(message)
    found = attributes(message[_ADDRESS.size :])
    own = found.get(_LOCAL) or found[_ITS_PEER]
    return index, ip_interface((own, bits))


def read_route(message: bytes) -> Route:
    """Read struct rtmsg; no destination means the default route."""
    family, bits, *_ = _ROUTE.unpack_from(message)
    found = attributes(message[_ROUTE.size :])
    to = found.get(_TO) or bytes(16 if family == socket.AF_INET6 else 4)
    return Route(ip_network((to, bits)), _int(found.get(_OUT, b"")), _ip(found.get(_GATEWAY)))


def read_way(message: bytes) -> Way:
    """Read struct rtmsg as the answer to :func:`way_query`."""
    kind = _ROUTE.unpack_from(message)[7]
    found = attributes(message[_ROUTE.size :])
    link, gateway = _int(found.get(_OUT, b"")), _ip(found.get(_GATEWAY))
    return Way(KINDS.get(kind, str(kind)), link, gateway, _ip(found.get(_SOURCE)))


def is_default_route(message: bytes) -> bool:
    """Say whether struct rtmsg is about the way for all that no other route takes."""
    return bool(_ROUTE.unpack_from(message)[1] == 0)  # bits of the destination


def neighbour_query(address: Address, link: int) -> bytes:
    """Write the question for one entry of a neighbour table (Linux 5.0)."""
    start = _NEIGHBOUR.pack(_family(address.version), link, 0, 0, 0)
    return start + attribute(_ITS_ADDRESS, address.packed)


def read_neighbour(message: bytes) -> str:
    """Read the MAC of struct ndmsg; "" if nothing is sent by it: it failed, or is asked for."""
    _, _, state, *_ = _NEIGHBOUR.unpack_from(message)
    mac = attributes(message[_NEIGHBOUR.size :]).get(_ITS_MAC, b"")
    return "" if state & _UNUSABLE else mac.hex(":")


def _learning_from_ports() -> bytes:
    wanted = _OPTION.pack(_NO_LINK_LOCAL_LEARNING, _NO_LINK_LOCAL_LEARNING)
    return attribute(_OPTIONS, wanted)


def _kind(name: str, data: bytes = b"") -> bytes:
    """Write what kind of virtual link is meant, with what is special to the kind."""
    return attribute(_INFO, _text(_KIND, name) + (attribute(_DATA, data) if data else b""))


def _text(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode() + b"\0")


def _number(kind: int, value: int) -> bytes:
    return attribute(kind, value.to_bytes(4, sys.byteorder))


def _mac(value: str) -> bytes:
    return attribute(_MAC, bytes.fromhex(value.replace(":", "")))


def _int(value: bytes) -> int:
    return int.from_bytes(value, sys.byteorder)


def _ip(value: bytes | None) -> str:
    return str(ip_address(value)) if value else ""


def _family(version: int) -> int:
    return socket.AF_INET6 if version == 6 else socket.AF_INET
