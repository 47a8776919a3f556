"""Frames as an attacker makes them: forger.py INTERFACE FRAME-IN-HEX…, sent as they stand.

And what such frames are made of, for the tests.
"""

from __future__ import annotations

import socket
import struct
import sys
import time
from ipaddress import IPv4Address, IPv6Address

BROADCAST = "ff:ff:ff:ff:ff:ff"
IPV4, ARP, VLAN, IPV6, PROVIDER_VLAN = 0x0800, 0x0806, 0x8100, 0x86DD, 0x88A8


def ethernet(source: str, to: str, kind: int, payload: bytes) -> bytes:
    """Return a frame."""
    return _mac(to) + _mac(source) + struct.pack("!H", kind) + payload


def arp(mac: str, address: str) -> bytes:
    """Return the message "this address is at this MAC", to everybody (RFC 5227)."""
    packed = IPv4Address(address).packed
    fixed = struct.pack("!HHBBH", 1, IPV4, 6, 4, 1)
    return fixed + _mac(mac) + packed + bytes(6) + packed


def tagged(kind: int, payload: bytes, vlan: int = 0) -> bytes:
    """Return a payload with a VLAN tag (IEEE 802.1Q, 9.6); 0: a priority tag, of no VLAN."""
    return struct.pack("!HH", vlan, kind) + payload


def udp(source: str, to: str, ports: tuple[int, int], payload: bytes = b"forged") -> bytes:
    """Return an IPv4 packet."""
    segment = struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 0, 0, 64, socket.IPPROTO_UDP, 0)
    ends = IPv4Address(source).packed + IPv4Address(to).packed
    head = head[:10] + struct.pack("!H", _checksum(head + ends)) + ends
    return head + segment


def first_fragment(source: str, to: str, number: int) -> bytes:
    """Return the first fragment, 1400 bytes, of an IPv4 datagram that is longer (RFC 791)."""
    head = struct.pack("!BBHHHBBH", 0x45, 0, 1420, number, 0x2000, 64, socket.IPPROTO_UDP, 0)
    ends = IPv4Address(source).packed + IPv4Address(to).packed
    return head[:10] + struct.pack("!H", _checksum(head + ends)) + ends + bytes(1400)


def icmp_error(source: str, to: str, about: bytes) -> bytes:
    """Return an IPv4 packet that says "this packet did not arrive: no such port" (RFC 792)."""
    message = struct.pack("!BBHI", 3, 3, 0, 0) + about
    message = message[:2] + struct.pack("!H", _checksum(message)) + message[4:]
    length, kind = 20 + len(message), socket.IPPROTO_ICMP
    head = struct.pack("!BBHHHBBH", 0x45, 0, length, 0, 0, 64, kind, 0)
    ends = IPv4Address(source).packed + IPv4Address(to).packed
    return head[:10] + struct.pack("!H", _checksum(head + ends)) + ends + message


def igmp(source: str, kind: int, group: str = "0.0.0.0", to: str = "224.0.0.1") -> bytes:
    """Return an IGMPv2 message with the option "router alert" (RFC 2236)."""
    message = struct.pack("!BBH", kind, 100, 0) + IPv4Address(group).packed
    message = message[:2] + struct.pack("!H", _checksum(message)) + message[4:]
    ends = IPv4Address(source).packed + IPv4Address(to).packed + bytes([148, 4, 0, 0])
    head = struct.pack("!BBHHHBBH", 0x46, 0, 24 + len(message), 0, 0, 1, socket.IPPROTO_IGMP, 0)
    return head[:10] + struct.pack("!H", _checksum(head + ends)) + ends + message


def ipv6(source: str, to: str, kind: int, payload: bytes, hops: int = 255) -> bytes:
    """Return an IPv6 packet; ``kind`` is the protocol number of its payload."""
    ends = IPv6Address(source).packed + IPv6Address(to).packed
    return struct.pack("!IHBB", 6 << 28, len(payload), kind, hops) + ends + payload


def icmpv6(source: str, to: str, kind: int, body: bytes) -> bytes:
    """Return an ICMPv6 message without its IPv6 header; ``body`` follows the checksum."""
    message = struct.pack("!BBH", kind, 0, 0) + body
    pseudo = IPv6Address(source).packed + IPv6Address(to).packed
    pseudo += struct.pack("!II", len(message), socket.IPPROTO_ICMPV6)
    return message[:2] + struct.pack("!H", _checksum(pseudo + message)) + message[4:]


def advertisement(source: str, to: str, target: str, mac: str) -> bytes:
    """Return the ICMPv6 message "target is at mac, override what you know" (RFC 4861, 4.4)."""
    body = struct.pack("!I", 0x2000_0000) + IPv6Address(target).packed + link_option(2, mac)
    return icmpv6(source, to, 136, body)


def solicitation(source: str, to: str, target: str, options: bytes = b"") -> bytes:
    """Return the ICMPv6 message "who has target?" (RFC 4861, section 4.3)."""
    return icmpv6(source, to, 135, bytes(4) + IPv6Address(target).packed + options)


def link_option(kind: int, mac: str) -> bytes:
    """Return the option with the MAC of a message's source (1) or target (2)."""
    return bytes([kind, 1]) + _mac(mac)


def router_advertisement(source: str) -> bytes:
    """Return an IPv6 packet that says "I am the router" (RFC 4861, section 4.2)."""
    body = struct.pack("!BBHII", 64, 0, 1800, 0, 0)
    message = icmpv6(source, "ff02::1", 134, body)
    return ipv6(source, "ff02::1", socket.IPPROTO_ICMPV6, message)


def fragment(
    kind: int, payload: bytes, offset: int = 0, *, more: bool = False, number: int = 0x6D696E69
) -> bytes:
    """Return a fragment header with its payload; ``offset`` in bytes (RFC 8200, section 4.5)."""
    return struct.pack("!BBHI", kind, 0, offset | more, number) + payload


def options(kind: int, payload: bytes) -> bytes:
    """Return a header of options, all padding, before a payload (RFC 8200, 4.3 and 4.6)."""
    return bytes([kind, 0, 1, 4, 0, 0, 0, 0]) + payload


def bpdu(mac: str) -> bytes:
    """Return a frame by which a bridge of the highest priority claims to be the root (802.1D)."""
    root = bytes(2) + _mac(mac)
    message = (
        bytes(5)
        + root
        + bytes(4)
        + root
        + struct.pack("!HHHHH", 0x8001, 0, 20 << 8, 2 << 8, 15 << 8)
    )
    llc = b"\x42\x42\x03" + message
    return _mac("01:80:c2:00:00:00") + _mac(mac) + struct.pack("!H", len(llc)) + llc + bytes(8)


def _checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


if __name__ == "__main__":
    line = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    line.bind((sys.argv[1], 0))
    for frame in sys.argv[2:]:
        line.send(bytes.fromhex(frame))
    time.sleep(0.05)  # They have arrived when this ends.
