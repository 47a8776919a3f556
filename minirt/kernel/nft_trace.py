"""What the packet filter did to a packet that it was told to trace (nft(8), "meta nftrace").

The kernel tells each rule that acted, and each chain's policy, to whoever has joined the
netlink group of traces. The packet is marked by a rule; its table has an owner (since Linux
5.12), which is a netlink socket: when that closes, however its process ends, the table goes.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from minirt.kernel.nlmsg import HEADER, attributes

_NETFILTER = 12  # NETLINK_NETFILTER
_GROUP = 9  # NFNLGRP_NFTRACE of include/uapi/linux/netfilter/nfnetlink.h
_TRACE = 10 << 8 | 17  # NFNL_SUBSYS_NFTABLES, NFT_MSG_TRACE
_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_GENERAL = 4  # bytes of struct nfgenmsg
_FAMILIES = {1: "inet", 2: "ip", 7: "bridge", 10: "ip6"}  # NFPROTO_*
# NFTA_TRACE_* of include/uapi/linux/netfilter/nf_tables.h
_TABLE, _CHAIN, _HANDLE, _TYPE, _VERDICT, _NETWORK, _TRANSPORT, _IIF, _OIF, _POLICY = (
    1, 2, 3, 4, 5, 8, 9, 10, 12, 16,
)  # fmt: skip
_OF_POLICY, _OF_RULE = 1, 3  # NFT_TRACETYPE_*
_CODES = {0: "drop", 1: "accept", 3: "queue", -1: "continue", -3: "jump", -4: "goto", -5: "return"}


@dataclass(frozen=True, slots=True)
class Event:
    """One rule that acted on the packet, or a policy, and how the packet looked before."""

    table: tuple[str, str]  # family and name
    chain: str
    handle: int  # of the rule; 0: the policy
    verdict: str
    came_by: int = 0  # links' indexes
    leaves_by: int = 0
    source: str = ""
    target: str = ""
    ports: tuple[int, int] = (0, 0)


class Listener:
    """Hears of traces in the network namespace in which it was made."""

    def __init__(self) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_NETLINK, kind, _NETFILTER)
        self._socket.bind((0, 0))
        self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _GROUP)
        self._looks: dict[int, bytes] = {}  # how the packet looked when last told

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._socket.fileno()

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()

    def events(self) -> Iterator[Event]:
        """Yield what has been told so far; what was too much to be kept is lost."""
        while True:
            try:
                block = self._socket.recv(1 << 16)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                continue
            while block:
                length, kind, *_ = HEADER.unpack_from(block)
                message, block = block[HEADER.size : length], block[length + 3 & ~3 :]
                event = self._read(message) if kind == _TRACE else None
                if event is not None:
                    yield event

    def _read(self, message: bytes) -> Event | None:
        """Read one message; None for the end of a chain, where nothing is decided.

        How the packet looks is told once in each base chain, with the first message.
        """
        found = attributes(message[_GENERAL:])
        if _NETWORK in found:
            self._looks = found
        kind = _number(found.get(_TYPE))
        if kind == _OF_POLICY:
            verdict = _CODES.get(_number(found.get(_POLICY)), "")
        elif kind == _OF_RULE and _HANDLE in found:
            inner = attributes(found.get(_VERDICT, b""))
            (code,) = struct.unpack("!i", inner.get(1, bytes(4)))  # NFTA_VERDICT_CODE
            verdict = _CODES.get(code, str(code))
        else:
            return None
        source, target = _ends(self._looks.get(_NETWORK, b""))
        ports = self._looks.get(_TRANSPORT, b"")[:4].ljust(4, b"\0")
        return Event(
            (_FAMILIES.get(message[0], str(message[0])), _text(found.get(_TABLE))),
            _text(found.get(_CHAIN)),
            _number(found.get(_HANDLE)) if kind == _OF_RULE else 0,
            verdict,
            _number(self._looks.get(_IIF)),
            _number(self._looks.get(_OIF)),
            source,
            target,
            struct.unpack("!HH", ports),
        )


def _ends(header: bytes) -> tuple[str, str]:
    """Return source and destination of an IP header (RFC 791, RFC 8200)."""
    if len(header) >= 20 and header[0] >> 4 == 4:
        return str(ip_address(header[12:16])), str(ip_address(header[16:20]))
    if len(header) >= 40 and header[0] >> 4 == 6:
        return str(ip_address(header[8:24])), str(ip_address(header[24:40]))
    return "", ""


def _number(value: bytes | None) -> int:
    return int.from_bytes(value or b"", "big")


def _text(value: bytes | None) -> str:
    return (value or b"").rstrip(b"\0").decode(errors="replace")
