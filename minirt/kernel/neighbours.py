"""Tell the neighbours on a link who has an address now (arp(7); RFC 4861; RFC 5227).

Who spoke with an address lately remembers the MAC address that it had. Linux asks again only
after half a minute of silence at the old one: until then an address that moved is unreachable.
"""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv4Address, IPv6Address

from minirt.kernel import namespaces, nlmsg
from minirt.kernel.namespaces import Netns
from minirt.kernel.steps import step

_EVERYBODY = b"\xff" * 6  # Ethernet's broadcast address
_ARP = 0x0806  # the type of an Ethernet frame
# Ethernet, IPv4, lengths of both addresses, "request" (RFC 826).
_ARP_HEADER = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1)

# rtnetlink(7): struct ndmsg and one attribute, NDA_DST; include/uapi/linux/neighbour.h.
_NEIGHBOUR = struct.Struct("=B3xiHBB")  # family, link, state, flags, type
_NEW_NEIGHBOUR, _TO = 28, 1  # RTM_NEWNEIGH, NDA_DST
_USE = 0x01  # NTF_USE: as if there were a packet to send
_CREATE = nlmsg.ACK | 0x100 | 0x400  # NLM_F_REPLACE, NLM_F_CREATE

# RFC 4861, sections 4.4 and 4.6.1: type 136; "override what you know"; the option with a MAC.
_ADVERTISEMENT = struct.Struct("!BBHI16sBB6s")
_TYPE, _OVERRIDE, _OPTION, _EIGHT_BYTES = 136, 0x2000_0000, 2, 1
_ALL_NODES = "ff02::1"
_HOPS = 255  # Any less, and it may have come from beyond a router: nobody would believe it.


def announce(netns: Netns, link: str, mac: str, address: IPv4Address) -> None:
    """Ask for one's own address, so that all hear the question (RFC 5227, section 2.3).

    It takes 10 ms: who closes such a socket waits for all readers in the kernel (RCU).
    """
    words = ("nsenter", f"--net={netns.path}", "arping", "-Uc1", "-I", link, address)
    hardware = _bytes(mac)
    frame = _EVERYBODY + hardware + struct.pack("!H", _ARP) + _ARP_HEADER
    frame += hardware + address.packed + bytes(6) + address.packed
    with (
        step("tell the neighbours", *words),
        namespaces.inside(netns),
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as channel,
    ):
        channel.bind((link, _ARP))
        channel.send(frame)


def ask_for(netns: Netns, link: str, other: IPv4Address) -> None:
    """Ask for a neighbour whom one doesn't know yet: all hear who asks.

    Nearly as good as :func:`announce` (who has changed an entry within the last second keeps
    that), and a hundred times as fast.
    """
    words = ("nsenter", f"--net={netns.path}", "ip", "neigh", "replace", other, "dev", link, "use")
    with (
        step("tell the neighbours", *words),
        namespaces.inside(netns),
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as channel,
    ):
        index = socket.if_nametoindex(link)
        body = _NEIGHBOUR.pack(socket.AF_INET, index, 0, _USE, 0)
        body += nlmsg.attribute(_TO, other.packed)
        nlmsg.send(channel, _NEW_NEIGHBOUR, _CREATE, body)
        nlmsg.settle(channel)


def advertise(netns: Netns, link: str, mac: str, address: IPv6Address) -> None:
    """Answer a question that nobody has asked (RFC 4861, section 7.2.6)."""
    words = ("nsenter", f"--net={netns.path}", "ndsend", address, link)
    fields = (_TYPE, 0, 0, _OVERRIDE, address.packed, _OPTION, _EIGHT_BYTES, _bytes(mac))
    with (
        step("tell the neighbours", *words),
        namespaces.inside(netns),
        socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as channel,
    ):
        index = socket.if_nametoindex(link)
        channel.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        channel.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, _HOPS)
        channel.bind((str(address), 0))
        channel.sendto(_ADVERTISEMENT.pack(*fields), (_ALL_NODES, 0, 0, index))


def _bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))
