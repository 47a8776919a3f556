"""Which DNS servers answer nothing at all: they are asked after the others.

All containers of a network share this knowledge, so no container may be able to produce it. A query
that a server answers late proves nothing: the asker may have chosen a name whose own servers are
slow. So the resolver sends a query of its own, a *probe*, to a server that is late. Only a server
that answers neither the probe nor any other query in the meantime is asked last for a while.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from minirt.network.attempt import Attempt, Words
from minirt.network.lines import Lines
from minirt.network.loop import Loop, Timer
from minirt.network.stock import NotYet, Stock
from minirt.network.upstream import Server

_ASKED_LAST = 30.0  # seconds
# The name servers of the root zone, with recursion desired (RFC 1035, section 4.1). Recursive
# servers have them in their cache, and a server that does not serve this name refuses it: both are
# answers.
_QUERY = b"\0\0\1\0\0\1\0\0\0\0\0\0" + b"\0" + b"\0\2" + b"\0\1"
_PROBE = Words(_QUERY, len(_QUERY))


@dataclass(slots=True)
class Probe:
    """A probe on its way, and the timer that ends or repeats it."""

    attempt: Attempt
    timer: Timer

    def close(self) -> None:
        """Stop waiting for the answer."""
        self.timer.cancel()
        self.attempt.close()


class ServerHealth:
    """Probes late servers, and orders servers by the results."""

    def __init__(self, loop: Loop, lines: Lines) -> None:
        self._loop, self._lines = loop, lines
        self._probes: dict[Server, Probe] = {}
        self._asked_last: dict[Server, float] = {}  # until this time.monotonic()

    def order(self, servers: Sequence[Server]) -> list[Server]:
        """Return the servers in their order, those that answered nothing behind the others."""
        if not self._asked_last:
            return list(servers)
        now = time.monotonic()
        return sorted(servers, key=lambda server: self._asked_last.get(server, 0) > now)

    def probe(self, server: Server, seconds: float) -> None:
        """Send a probe to a server that is late, and wait so long for any answer of the server.

        The probe is sent again after half of the time, since one packet may be lost.
        """
        if server in self._probes or self._asked_last.get(server, 0) > time.monotonic():
            return
        try:
            attempt = Attempt(self._loop, self._lines, server, _PROBE, self._hear)
        except (NotYet, OSError):  # No socket or no route: this says nothing about the server.
            return
        timer = self._loop.later(seconds / 2, lambda: self._repeat(server, seconds / 2))
        self._probes[server] = Probe(attempt, timer)

    def answered(self, server: Server) -> None:
        """Take note of any answer of the server."""
        self._end_probe(server)
        self._asked_last.pop(server, None)

    def forget(self, stock: Stock) -> None:
        """Forget the servers of a container that is going away."""
        for server in [one for one in self._probes if one.stock is stock]:
            self._end_probe(server)
        for server in [one for one in self._asked_last if one.stock is stock]:
            del self._asked_last[server]

    def _repeat(self, server: Server, seconds: float) -> None:
        probe = self._probes[server]
        probe.attempt.repeat()
        probe.timer = self._loop.later(seconds, lambda: self._expire(server))

    def _expire(self, server: Server) -> None:
        self._end_probe(server)
        self._asked_last[server] = time.monotonic() + _ASKED_LAST

    def _hear(self, attempt: Attempt, reply: bytes | None) -> None:
        if reply is not None:
            self.answered(attempt.server)
        else:  # ICMP reports a closed port: each query learns that at once, without waiting.
            self._end_probe(attempt.server)

    def _end_probe(self, server: Server) -> None:
        probe = self._probes.pop(server, None)
        if probe is not None:
            probe.close()
