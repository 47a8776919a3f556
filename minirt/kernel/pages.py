"""Pages that a process will write to, copied while it waits for what it is to do.

A forked process shares its parent's memory; for the first write to a page it gets a copy, which
costs it 2 µs or more. In Python a mere call of a function writes, into its code (counters of the
interpreter), so ``run`` writes to 2,400 pages, a third of its processor time; and processes of one
kind write to much the same pages each time. So the first ones of each kind write down which, in a
*book* that all who come from the same server share, and later ones get their copies beforehand.
To copy all that is shared would take longer than there is to wait. What the command will be is not
known yet: it begins with what has come, the last time, after one like the last.

A wrong book does no harm but copies made in vain. Nobody has books but who comes from a server;
elsewhere nothing happens here.
"""

from __future__ import annotations

import mmap
import re
import select
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import reduce
from operator import or_

from minirt.kernel import memory

RUN, EXEC, OTHER, INIT = "run", "exec", "other", "init"
COMMANDS = (RUN, EXEC, "start", "stop", "rm", "ps", "inspect", "network", OTHER)
_LESSONS = 3  # for each kind: what comes then is known
_A_WHILE = 20  # milliseconds
_AT_ONCE = 32  # runs of pages between two looks whether the wait is over
_RUN = re.compile(b"\1(?:\0?\1)*")  # pages side by side; one more costs less than one more call


class _Book:
    """A byte for each page there is at first: 1 if it was written to. Then how many wrote."""

    def __init__(self, places: list[range]) -> None:
        self.places = places
        self._count = sum(map(len, places)) // memory.PAGE
        self._shared = mmap.mmap(-1, self._count + 1)

    def add(self, others: int) -> None:
        """Write down the pages that this process has for itself, but those that are ``others``."""
        if self._shared[-1] == _LESSONS:
            return
        self._shared[-1] += 1
        own = int.from_bytes(b"".join(memory.own(place) for place in self.places))
        self._shared[:-1] = (self.read() | own & ~others).to_bytes(self._count)

    def read(self) -> int:
        """Return what is known."""
        return int.from_bytes(self._shared[:-1])

    def runs(self, but: int) -> Iterator[range]:
        """Yield what is known, but what is in ``but`` already, as addresses."""
        known, first = (self.read() & ~but).to_bytes(self._count), 0
        for place in self.places:
            last = first + len(place) // memory.PAGE
            for run in _RUN.finditer(known[first:last]):
                start, end = (place.start + page * memory.PAGE for page in run.span())
                yield range(start, end)
            first = last


_books: dict[str, _Book] = {}
_copied: set[str] = set()  # the kinds for which this process has got copies
# Bytes that all share, kinds counted in COMMANDS: the last one, and what came after each of them.
_turns: mmap.mmap | None = None


def open_books() -> None:
    """Let this process's children, and theirs, learn from each other."""
    global _turns
    places = list(memory.writable())
    for kind in (*COMMANDS, INIT):
        _books[kind] = _Book(places)
    _turns = mmap.mmap(-1, 1 + len(COMMANDS))


def copy_for_any(until: int) -> None:
    """Get copies for the command that is likely to come, and after a while for the largest two.

    Until the descriptor is readable. When one comes after the other there is no such while, and
    what is copied in vain would be missing to those who work.
    """
    copy(COMMANDS[_turns[1 + _turns[0]]] if _turns else RUN, until)
    if not _poll(until).poll(_A_WHILE):
        for kind in (RUN, EXEC):
            copy(kind, until)


def copy(kind: str, until: int) -> None:
    """Get copies of what processes of this kind write to, until the descriptor is readable."""
    if kind not in _books:
        return
    poll, before = _poll(until), _known(_copied)
    _copied.add(kind)
    with suppress(OSError):
        for number, one in enumerate(_books[kind].runs(before)):
            if number % _AT_ONCE == 0 and poll.poll(0):
                break
            memory.copy(one)


def learn(kind: str) -> None:
    """Write down what this process has written to, if that is not known yet."""
    if kind in _books:
        if _turns and kind in COMMANDS:
            _turns[1 + _turns[0]] = COMMANDS.index(kind)
            _turns[0] = COMMANDS.index(kind)
        with suppress(OSError):
            _books[kind].add(_known(_copied - {kind}))


def _known(kinds: Iterable[str]) -> int:
    return reduce(or_, (_books[kind].read() for kind in kinds), 0)


def _poll(descriptor: int) -> select.poll:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return poll
