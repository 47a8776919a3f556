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
IPV4, ARP, VLAN, IPV6 = 0x0800, 0x0806, 0x8100, 0x86DD


def ethernet(source: str, to: str, kind: int, payload: bytes) -> bytes:
    """Return a frame."""
    return _mac(to) + _mac(source) + struct.pack("!H", kind) + payload


def arp(mac: str, address: str) -> bytes:
    """Return the message "this address is at this MAC", to everybody (RFC 5227)."""
    packed = IPv4Address(address).packed
    fixed = struct.pack("!HHBBH", 1, IPV4, 6, 4, 1)
    return fixed + _mac(mac) + packed + bytes(6) + packed


def untagged_vlan(kind: int, payload: bytes) -> bytes:
    """Return a payload with the tag of no VLAN (IEEE 802.1Q, 9.6: a priority-tagged frame)."""
    return struct.pack("!HH", 0, kind) + payload


def udp(source: str, to: str, ports: tuple[int, int], payload: bytes = b"forged") -> bytes:
    """Return an IPv4 packet."""
    segment = struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 0, 0, 64, socket.IPPROTO_UDP, 0)
    ends = IPv4Address(source).packed + IPv4Address(to).packed
    head = head[:10] + struct.pack("!H", _checksum(head + ends)) + ends
    return head + segment


def router_advertisement(source: str) -> bytes:
    """Return an IPv6 packet that says "I am the router" (RFC 4861, section 4.2)."""
    to = IPv6Address("ff02::1").packed
    message = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
    ends = IPv6Address(source).packed + to
    pseudo = ends + struct.pack("!II", len(message), socket.IPPROTO_ICMPV6)
    message = message[:2] + struct.pack("!H", _checksum(pseudo + message)) + message[4:]
    return struct.pack("!IHBB", 6 << 28, len(message), socket.IPPROTO_ICMPV6, 255) + ends + message


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
