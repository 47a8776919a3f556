"""Datagram sockets on their way to servers, each for one question at a time.

A new socket for every question costs more than all the rest of it. So one that has brought an
answer is used again, for a few questions and a moment. Somebody who can't see our packets still
has to guess the port among those of this moment, and the id, which is never the same (RFC 5452);
and as nothing is cached here, a lucky guess deceives one question.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass

from minirt.network.loop import Loop
from minirt.network.stock import Stock
from minirt.network.upstream import Server

_QUESTIONS = 16  # over one socket
_MOMENT = 2.0  # seconds after which the sockets that nobody uses are closed
_MOST_IDLE = 64  # per server
_LONGEST = 65535


@dataclass(slots=True, eq=False)
class Line:
    """A socket that is connected to a server, and the one question that waits for it."""

    socket: socket.socket
    server: Server
    hear: Callable[[], None] | None = None
    questions: int = 0

    def turn(self) -> None:
        """Let who waits receive; what comes when nobody waits is late, or a lie."""
        if self.hear is not None:
            self.hear()
            return
        try:
            self.socket.recv(_LONGEST)
        except OSError:
            self.questions = _QUESTIONS  # An ICMP error: of no use to another question.


class Lines:
    """The lines of all containers."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._idle: dict[Server, list[Line]] = {}
        self._sweeping = False

    def take(self, server: Server, hear: Callable[[], None]) -> Line:
        """Return a line for one question. Raises OSError, or NotYet."""
        idle = self._idle.get(server)
        if idle:
            line = idle.pop()
        else:
            line = Line(server.socket(socket.SOCK_DGRAM), server)
            self._loop.watch(line.socket.fileno(), line.turn)
        line.hear = hear
        line.questions += 1
        return line

    def give_back(self, line: Line, *, good: bool) -> None:
        """End the use of a line; only a ``good`` one, which has brought an answer, is kept."""
        line.hear = None
        idle = self._idle.setdefault(line.server, [])
        if not good or line.questions >= _QUESTIONS or len(idle) >= _MOST_IDLE:
            self._close(line)
            return
        idle.append(line)
        if not self._sweeping:
            self._sweeping = True
            self._loop.later(_MOMENT, self.hang_up)

    def forget(self, stock: Stock) -> None:
        """Close what leads out of a container that is going away."""
        for server in [one for one in self._idle if one.stock is stock]:
            for line in self._idle.pop(server):
                self._close(line)

    def hang_up(self) -> None:
        """Close the lines that nobody uses."""
        self._sweeping = False
        for line in [line for idle in self._idle.values() for line in idle]:
            self._close(line)
        self._idle.clear()

    def _close(self, line: Line) -> None:
        self._loop.forget(line.socket.fileno())
        line.socket.close()
