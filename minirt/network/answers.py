"""Answer what one container asks, from its zones, as fast as Python can.

    the very same bytes as before    one dict look-up, no parsing at all
    the same name and type           read by hand, put together from kept records
    anything else                    written by dnslib

A whole answer is kept by the query without its id: flags, letters' case, EDNS and all. What
is kept is a cycle of answers, each beginning with another address, so a name that several
containers share spreads its clients. All of it is dropped whenever a zone changes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, repeat

from minirt.network import question as q
from minirt.network import wire
from minirt.network.question import Question
from minirt.network.zone import Zone, find_addresses, find_pointer

# Who asks for more variants than these has them written again: a container can't fill our
# memory by spelling a name in all ways.
_MOST_KEPT = 1 << 19  # bytes of whole answers
_MOST_RECORDS = 512  # names and types
_MOST_ORDERS = 64  # rotations of one answer
_OUR_PAYLOAD = 1232  # bytes over UDP: what the DNS flag day 2020 recommends to ask for

Rotation = Iterator[bytes]  # endless; each item is an answer without its id


class Answers:
    """The answers for one container. ``kept`` is for the caller's fast road."""

    def __init__(self) -> None:
        self.kept: dict[bytes, Rotation] = {}  # by the bytes of a UDP query, without its id
        self._zones: Sequence[Zone] = ()
        self._records: dict[tuple[bytes, int], list[bytes]] = {}
        self._size = 0  # bytes of what is kept
        self._turn = random.randrange(_MOST_ORDERS)  # Each client begins elsewhere.

    def know(self, zones: Sequence[Zone]) -> None:
        """Answer from these zones, in this order, from here on."""
        self._zones = zones
        self.forget()

    def forget(self) -> None:
        """Keep nothing of what was true until now."""
        self.kept.clear()
        self._records.clear()
        self._size = 0

    def local(self, query: bytes, question: Question, *, limit: int | None = None) -> bytes | None:
        """Answer a question about a name of ours; None if it isn't one.

        ``limit`` is the size of the transport, by default what the client takes over UDP;
        only then the answer is also kept.
        """
        key = (question.name, question.qtype)
        records = self._records.get(key)
        if records is None:
            records = self._written(question)
            if records is None:
                return None
            if len(self._records) >= _MOST_RECORDS:
                self._records.clear()
            self._records[key] = records
        self._turn += 1
        rotation = _rotation(query, question, records, limit or question.payload, self._turn)
        answer = next(rotation)
        if limit is None:
            self._keep(query[2:], rotation, len(query) + _orders(records) * len(answer))
        return query[:2] + answer

    def _keep(self, query: bytes, rotation: Rotation, size: int) -> None:
        self._size += size
        if self._size > _MOST_KEPT:
            self.kept.clear()
            self._size = size
        self.kept[query] = rotation

    def _written(self, question: Question) -> list[bytes] | None:
        """Return the answer's records: none if the name is ours, but not of that type.

        Of a known name no type is ever asked elsewhere: that would tell the name to
        strangers, and their NXDOMAIN would contradict us.
        """
        addresses = find_addresses(self._zones, question.name)
        if addresses is not None:
            return wire.of_addresses(question, addresses)
        pointer = find_pointer(self._zones, question.name)
        if pointer is None:
            return None
        wanted = question.qtype in (q.PTR, q.ANY)
        return wire.of_pointer(question, pointer) if wanted else []


def _orders(records: list[bytes]) -> int:
    return min(len(records), _MOST_ORDERS) or 1


def _rotation(
    query: bytes, question: Question, records: list[bytes], limit: int, turn: int
) -> Rotation:
    """Write one answer per order of the records, each when it is needed, ``limit`` bytes long."""
    rcode, additional = q.NOERROR, b""
    if question.qclass not in (q.IN, q.ANY):
        rcode, records = q.REFUSED, []
    if question.edns is not None:
        if question.edns & 0x00FF_0000:  # A version that we don't know (RFC 6891, 6.1.3).
            rcode, records = q.BADVERS, []
        additional = wire.opt(question.edns, _OUR_PAYLOAD, rcode)
    nothing = b"" if records or rcode else wire.of_nothing(question)
    base = question.end + len(additional)
    flags = q.QR | q.RA | q.HEADER.unpack_from(query)[1] & (q.RD | q.CD) | rcode & 0xF
    text = query[q.HEADER.size : question.end]

    def written(first: int) -> bytes:
        body, taken = b"", 0
        for record in records[first:] + records[:first]:
            if base + len(body) + len(record) > limit:
                break
            body, taken = body + record, taken + 1
        cut = q.TC if taken < len(records) else 0
        counts = (1, taken, 1 if nothing else 0, 1 if additional else 0)
        return q.HEADER.pack(0, flags | cut, *counts)[2:] + text + body + nothing + additional

    if len(records) < 2:
        return repeat(written(0))
    return _cycle(written, [(turn + one) % len(records) for one in range(_orders(records))])


def _cycle(written: Callable[[int], bytes], orders: Sequence[int]) -> Rotation:
    made = []
    for first in orders:
        made.append(written(first))
        yield made[-1]
    yield from cycle(made)
