"""The bytes of netlink messages (netlink(7)), and a request for who has no channel of its own.

struct nlmsghdr | what belongs to the family | struct nlattr, value | struct nlattr, value | …
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

HEADER = struct.Struct("=IHHII")  # length with itself, type, flags, sequence number, port
REQUEST, ACK, DUMP = 0x1, 0x4, 0x300  # NLM_F_*
NESTED = 0x8000  # NLA_F_NESTED: the value is attributes again
_ERROR, _DONE = 2, 3  # types: NLMSG_ERROR, NLMSG_DONE
_ATTRIBUTE = struct.Struct("=HH")  # length with itself, type
_TYPE = 0x3FFF  # NLA_TYPE_MASK
_CODE = struct.Struct("=i")  # what struct nlmsgerr begins with: 0, or an errno below it
_LONGEST = 1 << 16  # bytes of a block of answers


def attribute(kind: int, value: bytes) -> bytes:
    """Return an attribute, filled up to 4 bytes."""
    size = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(size, kind) + value + bytes(-size % 4)


def attributes(data: bytes) -> dict[int, bytes]:
    """Take attributes apart, by their types without flags."""
    found = {}
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        found[kind & _TYPE] = data[_ATTRIBUTE.size : length]
        data = data[max(length + 3 & ~3, _ATTRIBUTE.size) :]
    return found


def send(line: socket.socket, kind: int, flags: int, body: bytes, number: int = 1) -> None:
    """Send a request under a number; of ``flags`` it needs not be said that it is one."""
    line.send(request(kind, flags, body, number))


def request(kind: int, flags: int, body: bytes, number: int) -> bytes:
    """Return a request with its header; ``body`` ends with an attribute, or fills 4 bytes."""
    return HEADER.pack(HEADER.size + len(body), kind, flags | REQUEST, number, 0) + body


def answers(line: socket.socket) -> Iterator[bytes]:
    """Yield the answers to a request, without their headers, to the last. Raises its OSError."""
    while True:
        block = line.recv(_LONGEST)
        while block:
            length, kind, *_ = HEADER.unpack_from(block)
            message, block = block[HEADER.size : length], block[length + 3 & ~3 :]
            if kind in (_ERROR, _DONE):
                (code,) = _CODE.unpack_from(message)
                if code:
                    raise OSError(-code, os.strerror(-code))
                return
            yield message


def verdict(line: socket.socket) -> tuple[int, int]:
    """Read what is said to one of several requests: its number, and its errno or 0."""
    block = line.recv(_LONGEST)
    *_, number, _ = HEADER.unpack_from(block)
    (code,) = _CODE.unpack_from(block, HEADER.size)
    return number, -code


def settle(line: socket.socket) -> None:
    """Wait until a request is done of which only the error is of interest. Raises that OSError."""
    for _ in answers(line):
        pass
