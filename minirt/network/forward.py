"""Ask other servers what we don't know, many questions at a time.

Each server that is asked a question has a socket for it (lines.py), hence a source port and
an id that nobody can guess (RFC 5452), and nothing to mix up. The servers are asked in turn:
the next one at once when one fails or refuses, and after a moment when one is silent, while
the slow one may still answer. The first answer wins. "No such name" is an answer. A server that
answers nothing at all is asked last for a while (server_health.py).

A question goes on by the transport that it came by, and its answer is passed on as it is.

What is on its way already isn't asked a second time: who else asks the same, to the letter,
hears the same answer. So a loop – a server in a container that asks us what we ask it – ends in
its first round, and nobody improves his chances of guessing by asking a thousand times.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from minirt.network import question as q
from minirt.network.attempt import Attempt, Words
from minirt.network.lines import Lines
from minirt.network.loop import Loop, Timer
from minirt.network.server_health import ServerHealth
from minirt.network.stock import NotYet
from minirt.network.upstream import Server

PATIENCE = 1.5  # seconds until the next server is asked too
_BEFORE_PROBE = 1 / 3  # of PATIENCE; the rest of it is left to the probe
LAST_CALL = 5.0  # seconds until we give up, as glibc and dig do (resolv.conf(5), timeout)
MOST_AT_ONCE = 2048  # questions on their way, for all containers together
MOST_EACH = 512  # and for one
FEW = 16  # So many each may have in any case, lest the others use up everything.

Reply = Callable[[bytes], None]


@dataclass(slots=True)
class Traffic:
    """What all questions on their way have in common."""

    loop: Loop
    health: ServerHealth
    lines: Lines
    total: int = 0


class Desk:
    """The questions of one container: counted together, and dropped together."""

    def __init__(self, traffic: Traffic) -> None:
        self.traffic = traffic
        self.open: dict[object, Inquiry] = {}
        self.waiting = 0  # who waits for answers

    def ask(self, asker: object, words: Words, servers: Sequence[Server], reply: Reply) -> None:
        """Forward a query; ``reply`` is called once, perhaps at once, with the answer.

        ``asker`` tells an impatient client, who repeats a question, from another one who asks
        the same: it is a sign that a packet may have been lost, so we repeat it too.
        """
        topic = (words.stream, words.query[2:])
        known = self.open.get(topic)
        if known is not None and asker in known.askers:
            known.repeat()
        elif self.waiting >= (MOST_EACH if self.traffic.total < MOST_AT_ONCE else FEW):
            reply(q.failure(words.query, q.SERVFAIL, words.end))
        elif known is not None:
            known.add(asker, words.query[:2], reply)
        else:
            inquiry = self.open[topic] = Inquiry(self, topic, words)
            inquiry.add(asker, words.query[:2], reply)
            inquiry.start(servers)

    def count(self, number: int) -> None:
        """Take note of so many more, or fewer, who wait."""
        self.waiting += number
        self.traffic.total += number

    def close(self) -> None:
        """Drop all questions: nobody is left to hear the answers."""
        for inquiry in list(self.open.values()):
            inquiry.end()


class Inquiry:
    """One question, and the servers that have been asked so far."""

    def __init__(self, desk: Desk, topic: object, words: Words) -> None:
        self._desk, self._topic, self._words = desk, topic, words
        self.askers: dict[object, tuple[bytes, Reply]] = {}  # with the id of each
        self._next: list[Server] = []
        self._asked: list[Attempt] = []
        self._timer: Timer | None = None
        self._end = time.monotonic() + LAST_CALL

    def add(self, asker: object, number: bytes, reply: Reply) -> None:
        """Take note of somebody who asks this."""
        self.askers[asker] = number, reply
        self._desk.count(1)

    def start(self, servers: Sequence[Server]) -> None:
        """Ask the first server that can be asked."""
        self._next = self._desk.traffic.health.order(servers)
        self._ask_next()

    def repeat(self) -> None:
        """Send the question again to whom has it already."""
        for attempt in self._asked:
            attempt.repeat()

    def end(self) -> None:
        """Stop waiting."""
        if self._timer is not None:
            self._timer.cancel()
        for attempt in self._asked:
            attempt.close()
        self._asked, self._next = [], []
        if self._desk.open.pop(self._topic, None) is self:
            self._desk.count(-len(self.askers))

    def _ask_next(self) -> None:
        if self._desk.open.get(self._topic) is not self:
            return  # It has ended while it waited for a socket.
        traffic = self._desk.traffic
        while self._next:
            server = self._next.pop(0)
            try:
                attempt = Attempt(traffic.loop, traffic.lines, server, self._words, self._hear)
            except NotYet:
                self._next.insert(0, server)
                server.wait(self._words.transport, self._ask_next)
                self._wait(LAST_CALL, self._lose_patience)
                return
            except OSError:  # No route, no IPv6, no such interface: as good as a refusal.
                continue
            self._asked.append(attempt)
            self._wait(PATIENCE * _BEFORE_PROBE, self._probe)
            return
        if not self._asked:
            self._finish(q.failure(self._words.query, q.SERVFAIL, self._words.end))

    def _wait(self, seconds: float, call: Callable[[], None]) -> None:
        """Call after so long, but not later than at the end of all patience."""
        if self._timer is not None:
            self._timer.cancel()
        left = max(0.0, min(seconds, self._end - time.monotonic()))
        self._timer = self._desk.traffic.loop.later(left, call)

    def _probe(self) -> None:
        left = PATIENCE * (1 - _BEFORE_PROBE)
        if self._asked:
            self._desk.traffic.health.probe(self._asked[-1].server, left)
        self._wait(left, self._lose_patience)

    def _lose_patience(self) -> None:
        if time.monotonic() >= self._end:
            self._finish(q.failure(self._words.query, q.SERVFAIL, self._words.end))
        elif self._next:
            self._ask_next()
        else:
            self.repeat()  # A packet may have been lost.
            self._wait(PATIENCE, self._lose_patience)

    def _hear(self, attempt: Attempt, reply: bytes | None) -> None:
        if reply is not None:
            self._desk.traffic.health.answered(attempt.server)
            if reply[3] & 0xF not in (q.SERVFAIL, q.REFUSED):
                self._finish(reply)
                return
        attempt.close()
        self._asked.remove(attempt)
        self._ask_next()

    def _finish(self, answer: bytes) -> None:
        self.end()
        for number, reply in self.askers.values():
            reply(number + answer[2:])
