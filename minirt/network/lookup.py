"""Ask a DNS server one question, as a program in some network namespace would (RFC 1035)."""

from __future__ import annotations

import os
import socket
import struct
import time
from contextlib import nullcontext
from dataclasses import dataclass

import dnslib
from dnslib.bimap import BimapError
from dnslib.buffer import BufferError
from dnslib.label import DNSBuffer, DNSLabelError

from minirt.errors import InvalidRequest, in_quotes
from minirt.kernel import namespaces
from minirt.kernel.namespaces import Netns

PATIENCE = 6.0  # seconds for an answer: our resolver takes up to 5 to say that there is none
_LONGEST_NAME = 255  # bytes
_TYPES = dnslib.QTYPE.reverse  # the numbers of the types of records, by name


@dataclass(frozen=True, slots=True)
class Record:
    """One line of an answer."""

    name: str
    ttl: int  # seconds
    kind: str  # A, AAAA, PTR, …
    text: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server said, and how long that took."""

    server: str
    seconds: float
    status: str  # NOERROR, NXDOMAIN, …; "no answer", or why there is none
    records: tuple[Record, ...] = ()
    over_tcp: bool = False

    @property
    def is_answer(self) -> bool:
        """Whether the server has said anything."""
        return self.status.isupper()


def ask(
    name: str, kind: str, server: str, netns: Netns | None = None, seconds: float = PATIENCE
) -> Reply:
    """Ask over UDP, and again over TCP if the answer was cut (RFC 7766). Raises InvalidRequest."""
    query = question(name, kind)
    began = time.monotonic()
    over_tcp = False
    try:
        answer = _exchange(query, server, netns, seconds, socket.SOCK_DGRAM)
        if answer[2] & 0x02:  # TC
            over_tcp = True
            answer = _exchange(query, server, netns, seconds, socket.SOCK_STREAM)
        status, records = read(answer)
    except TimeoutError:
        status, records = f"no answer within {seconds:g} s", ()
    except (OSError, dnslib.DNSError, DNSLabelError, struct.error) as error:
        status, records = str(getattr(error, "strerror", "") or error).lower(), ()
    return Reply(server, time.monotonic() - began, status, records, over_tcp)


def question(name: str, kind: str) -> bytes:
    """Write a query; an address is asked for its name. Raises InvalidRequest."""
    kind = kind.upper()
    if kind not in _TYPES:
        raise InvalidRequest(f"There is no type of record {kind}", "", "A, AAAA, PTR, MX, TXT, …")
    try:
        record = dnslib.DNSRecord.question(name, kind)
        record.header.id = int.from_bytes(os.urandom(2), "big")
        return bytes(record.pack())
    except (dnslib.DNSError, DNSLabelError, UnicodeError, ValueError) as error:
        raise InvalidRequest(f"{in_quotes(name)} cannot be asked for", str(error)) from None


def read(answer: bytes) -> tuple[str, tuple[Record, ...]]:
    """Return the status and the records of an answer. Raises DNSError."""
    packet = _Packet(answer)
    try:
        header = dnslib.DNSHeader.parse(packet)
        for _ in range(header.q):
            dnslib.DNSQuestion.parse(packet)
        found = [dnslib.RR.parse(packet) for _ in range(header.a)]
        status = str(dnslib.RCODE.get(header.rcode))
        records = (
            Record(str(rr.rname), rr.ttl, str(dnslib.QTYPE.get(rr.rtype)), str(rr.rdata))
            for rr in found
        )
        return status, tuple(records)
    except (BufferError, BimapError, ValueError) as error:  # ValueError: bytes that are no text
        raise dnslib.DNSError(f"the answer makes no sense: {error}") from None


class _Packet(DNSBuffer):  # type: ignore[misc]
    """A packet in which no name is longer than names are (RFC 1035, section 2.3.4).

    dnslib follows pointers as far as they lead, for each name anew, and an answer of 64 KB may have
    five thousand names behind a thousand pointers.
    """

    def decode_name(self, last: int = -1) -> dnslib.DNSLabel:
        """Read the name at the current offset. Raises BufferError."""
        labels: list[bytes] = []
        size, end = 0, 0
        self.offset: int
        while length := self.get(1)[0]:
            if length >= 0xC0:
                here, pointer = self.offset - 1, (length & 0x3F) << 8 | self.get(1)[0]
                end, self.offset = end or self.offset, pointer
                size += 1  # Pointers to pointers have an end, too.
                if pointer >= here:
                    raise BufferError(f"a pointer leads forward, at {here}")
            else:
                labels.append(self.get(length))
                labels[-1].decode()
                size += 1 + length
            if size > _LONGEST_NAME:
                raise BufferError(f"a name is longer than {_LONGEST_NAME} bytes")
        self.offset = end or self.offset
        return dnslib.DNSLabel(labels)


def _exchange(
    query: bytes, server: str, netns: Netns | None, seconds: float, kind: socket.SocketKind
) -> bytes:
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with nullcontext() if netns is None else namespaces.inside(netns):
        made = socket.socket(family, kind | socket.SOCK_CLOEXEC)
    deadline = time.monotonic() + seconds
    with made:
        made.settimeout(seconds)
        made.connect((server, 53))
        if kind == socket.SOCK_STREAM:
            made.sendall(struct.pack("!H", len(query)) + query)
            (length,) = struct.unpack("!H", _exactly(made, 2, deadline))
            return _exactly(made, length, deadline)
        made.send(query)
        while (left := deadline - time.monotonic()) > 0:
            made.settimeout(left)
            answer = made.recv(1 << 16)
            if len(answer) >= 12 and answer[:2] == query[:2]:
                return answer
    raise TimeoutError


def _exactly(stream: socket.socket, length: int, deadline: float) -> bytes:
    """Return so many bytes. Raises OSError; TimeoutError, also if they come one after the other."""
    data = b""
    while len(data) < length:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        stream.settimeout(left)
        piece = stream.recv(length - len(data))
        if not piece:
            raise ConnectionResetError(104, "the connection was closed")
        data += piece
    return data
