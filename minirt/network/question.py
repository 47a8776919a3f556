r"""Read a DNS query by hand, as far as needed and not one byte further (RFC 1035, section 4).

Every packet comes from somebody hostile. Reading only the header, the one question and an
OPT record leaves nothing to attack: no compression pointer is followed, no list is built.
What a query carries beyond that is for the server that it is forwarded to.

A name is kept as it stands in the packet, without its final zero byte and in lower case
("web.net" is ``b"\3web\3net"``): so a dot inside a label can't pass for a border.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

HEADER = struct.Struct("!HHHHHH")  # id, flags, and the numbers of records per section
_PAIR = struct.Struct("!HH")
_OPT = struct.Struct("!BHHIH")  # root name, type, payload size, extended flags, length

# Flags of RFC 1035, section 4.1.1, and RFC 2535 (CD).
QR, TC, RD, RA, CD = 0x8000, 0x0200, 0x0100, 0x0080, 0x0010
_OPCODE = 0x7800

# RCODEs.
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, BADVERS = 0, 1, 2, 3, 4, 5, 16

A, PTR, AAAA, OPT, ANY = 1, 12, 28, 41, 255
IN = 1

PLAIN_UDP = 512  # RFC 1035, section 4.2.1: the most that a client without EDNS expects.
_LONGEST_NAME = 254  # RFC 1035, section 2.3.4: 255 bytes with the final zero.


class Question(NamedTuple):
    """The one question of a query."""

    name: bytes
    qtype: int
    qclass: int
    end: int  # of the question, from the start of the message
    payload: int = PLAIN_UDP  # bytes that fit into a UDP answer
    edns: int | None = None  # the OPT record's extended flags, if there is one (RFC 6891)


class Malformed(Exception):
    """A message that is no query; ``rcode`` is the answer to it, None for silence."""

    def __init__(self, rcode: int | None) -> None:
        super().__init__(rcode)
        self.rcode = rcode


def read(message: bytes) -> Question:
    """Read a query. Raises Malformed, and nothing else, whatever the bytes are."""
    if len(message) < HEADER.size:
        raise Malformed(None)
    _, flags, questions, answers, authorities, additions = HEADER.unpack_from(message)
    if flags & QR:
        raise Malformed(None)  # To answer an answer is how two servers talk for ever.
    if flags & _OPCODE:
        raise Malformed(NOTIMP)
    if questions != 1:
        raise Malformed(FORMERR)
    name, end = _name(message, HEADER.size)
    if end + 4 > len(message):
        raise Malformed(FORMERR)
    qtype, qclass = _PAIR.unpack_from(message, end)
    end += 4
    if additions and not (answers or authorities):
        return Question(name, qtype, qclass, end, *_opt(message, end))
    return Question(name, qtype, qclass, end)


def _name(message: bytes, start: int) -> tuple[bytes, int]:
    """Return the name and where it ends. A pointer has nothing to point at here."""
    offset = start
    while offset < len(message):
        length = message[offset]
        if length == 0:
            return message[start:offset].lower(), offset + 1
        offset += 1 + length
        if length > 63 or offset - start > _LONGEST_NAME:
            break
    raise Malformed(FORMERR)


def _opt(message: bytes, offset: int) -> tuple[int, int | None]:
    """Return payload size and extended flags of an OPT record that comes first."""
    if offset + _OPT.size <= len(message):
        root, rtype, payload, flags, _ = _OPT.unpack_from(message, offset)
        if root == 0 and rtype == OPT:
            return max(payload, PLAIN_UDP), flags
    return PLAIN_UDP, None


def answers_to(reply: bytes, query: bytes, end: int) -> bool:
    """Say whether ``reply`` belongs to ``query``, whose question ends at ``end``.

    The id and the whole question must match (RFC 5452, section 9.1), letters apart: there
    are servers that answer in lower case. A server that couldn't read us repeats nothing.
    """
    if len(reply) < HEADER.size or reply[:2] != query[:2] or not reply[2] & 0x80:
        return False
    questions = HEADER.unpack_from(reply)[2]
    if questions == 0:
        return len(reply) == HEADER.size and reply[3] & 0xF != NOERROR
    return (
        questions == 1
        and reply[HEADER.size : end - 4].lower() == query[HEADER.size : end - 4].lower()
        and reply[end - 4 : end] == query[end - 4 : end]
    )


def failure(query: bytes, rcode: int, end: int = HEADER.size) -> bytes:
    """Return the answer that only says ``rcode``, with the question up to ``end``."""
    number, flags, *_ = HEADER.unpack_from(query)
    flags = QR | RA | flags & (_OPCODE | RD | CD) | rcode
    return HEADER.pack(number, flags, int(end > HEADER.size), 0, 0, 0) + query[HEADER.size : end]


def wire_name(name: str) -> bytes | None:
    """Return a name of this machine's in wire form; None if DNS has no way to write it."""
    labels = [label.encode() for label in name.lower().split(".")]
    if not all(0 < len(label) < 64 for label in labels):
        return None
    wire = b"".join(bytes([len(label)]) + label for label in labels)
    return wire if len(wire) <= _LONGEST_NAME else None


def labels(name: bytes) -> list[bytes]:
    """Split a wire name into its labels."""
    found, offset = [], 0
    while offset < len(name):
        length = name[offset]
        found.append(name[offset + 1 : offset + 1 + length])
        offset += 1 + length
    return found
