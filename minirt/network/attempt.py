"""One question to one server."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

from minirt.network import question as q
from minirt.network.lines import Line, Lines
from minirt.network.loop import READ, WRITE, Loop
from minirt.network.upstream import Server

_LONGEST = 65535  # bytes of a message: its length is 16 bits (RFC 1035, section 4.2.2)

# Called with the answer that fits the question, or None: the server can't be reached.
Outcome = Callable[["Attempt", bytes | None], None]


class Words(NamedTuple):
    """What is asked: a query, where its question ends, and by which transport."""

    query: bytes
    end: int
    stream: bool = False

    @property
    def transport(self) -> socket.SocketKind:
        """The type of a socket for it."""
        return socket.SOCK_STREAM if self.stream else socket.SOCK_DGRAM


def _random_ids() -> Iterator[bytes]:
    """Yield ids that nobody can guess (RFC 5452, section 9.2), a thousand per system call."""
    while True:
        pool = os.urandom(2048)
        for place in range(0, len(pool), 2):
            yield pool[place : place + 2]


_IDS = _random_ids()


class Attempt:
    """A question on its way to a server. Raises OSError when it can't even be sent, or NotYet."""

    def __init__(
        self, loop: Loop, lines: Lines, server: Server, words: Words, outcome: Outcome
    ) -> None:
        self.server = server
        self._loop, self._lines, self._words, self._outcome = loop, lines, words, outcome
        # An id of its own for each attempt: what another server saw helps nobody to guess it.
        self._query = next(_IDS) + words.query[2:]
        self._line: Line | None = None
        self._answered = False
        if not words.stream:
            self._line = line = lines.take(server, self._datagram)
            self._socket = line.socket
            try:
                self._socket.send(self._query)
            except BaseException:
                self.close()
                raise
            return
        self._unsent = len(self._query).to_bytes(2, "big") + self._query
        self._received = b""
        self._socket = server.socket(socket.SOCK_STREAM)
        loop.watch(self._socket.fileno(), self._write, WRITE)

    def repeat(self) -> None:
        """Send a datagram again."""
        if self._line is not None:
            with suppress(OSError):  # An ICMP error, which the loop will report as well.
                self._socket.send(self._query)

    def close(self) -> None:
        """Stop listening to the server."""
        if self._line is None:
            self._loop.forget(self._socket.fileno())
            self._socket.close()
        else:
            self._lines.give_back(self._line, good=self._answered)

    def _datagram(self) -> None:
        try:
            reply = self._socket.recv(_LONGEST)
        except BlockingIOError:
            return
        except OSError:  # ICMP says that nobody is there: ECONNREFUSED, EHOSTUNREACH.
            self._outcome(self, None)
            return
        if q.answers_to(reply, self._query, self._words.end):
            self._answered = True
            self._outcome(self, reply)
        # Else somebody guesses: the true answer may still come.

    def _write(self) -> None:
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            return
        except OSError:
            self._outcome(self, None)
            return
        if not self._unsent:
            self._loop.watch(self._socket.fileno(), self._read, READ)

    def _read(self) -> None:
        try:
            data = self._socket.recv(_LONGEST + 2)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._received += data
        length = int.from_bytes(self._received[:2], "big")
        if data and (len(self._received) < 2 or len(self._received) < 2 + length):
            return
        reply = self._received[2 : 2 + length]
        fits = bool(data) and q.answers_to(reply, self._query, self._words.end)
        self._outcome(self, reply if fits else None)
