"""Which ports are taken, and with what mark (sock_diag(7), inet_diag)."""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass

from minirt.kernel import namespaces, nlmsg
from minirt.kernel.namespaces import Netns

_SOCK_DIAG = 4  # NETLINK_SOCK_DIAG
_BY_FAMILY = 20  # SOCK_DIAG_BY_FAMILY
_MARK = 15  # INET_DIAG_MARK, told to CAP_NET_ADMIN
_REQUEST_V2 = struct.Struct("=BBBBI48s")  # struct inet_diag_req_v2
_MESSAGE = struct.Struct("=BBBB2s2s16s16sI8sIIIII")  # struct inet_diag_msg
_LISTENING, _CLOSED = 10, 7  # TCP_LISTEN; of UDP, a socket without a peer
PROTOCOLS = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP}


@dataclass(frozen=True, slots=True)
class Bound:
    """A socket that waits at a port."""

    protocol: str
    address: str  # "0.0.0.0" or "::" for all
    port: int
    mark: int
    inode: int


def bound(netns: Netns | None = None) -> Iterator[Bound]:
    """Yield the sockets that wait in this network namespace, or in another one.

    There may be a million of them: a caller keeps only those that it needs.
    """
    with nullcontext() if netns is None else namespaces.inside(netns):
        channel = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _SOCK_DIAG
        )
    with channel:
        channel.bind((0, 0))
        for family in (socket.AF_INET, socket.AF_INET6):
            for protocol in PROTOCOLS:
                with suppress(FileNotFoundError):  # a kernel without that family, or inet_diag
                    yield from _asked(channel, family, protocol)


def _asked(channel: socket.socket, family: int, protocol: str) -> Iterator[Bound]:
    state = _LISTENING if protocol == "tcp" else _CLOSED
    body = _REQUEST_V2.pack(family, PROTOCOLS[protocol], 0, 0, 1 << state, bytes(48))
    nlmsg.send(channel, _BY_FAMILY, nlmsg.DUMP, body)
    return (_read(one, protocol) for one in nlmsg.answers(channel))


def _read(message: bytes, protocol: str) -> Bound:
    family, _, _, _, port, _, source, *_, inode = _MESSAGE.unpack_from(message)
    size = 4 if family == socket.AF_INET else 16
    mark = nlmsg.attributes(message[_MESSAGE.size :]).get(_MARK, b"")
    address = socket.inet_ntop(family, source[:size])
    return Bound(
        protocol, address, int.from_bytes(port, "big"), int.from_bytes(mark, sys.byteorder), inode
    )
