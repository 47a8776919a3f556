"""Pages that a process will write to, copied while it waits for what it is to do.

A forked process shares its parent's memory; for the first write to a page it gets a copy, which
costs it 2 µs or more. In Python a mere call of a function writes, into its code (counters of the
interpreter), so ``run`` writes to 2,400 pages, a third of its processor time; and processes of one
kind write to much the same pages each time. So the first ones of each kind write down which, in a
*book* that all who come from the same server share, and later ones get their copies beforehand.
To copy all that is shared would take longer than there is to wait.

A wrong book does no harm but copies made in vain. Nobody has books but who comes from a server;
elsewhere nothing happens here.
"""

from __future__ import annotations

import mmap
import re
import select
from collections.abc import Iterator
from contextlib import suppress

from minirt.kernel import memory

RUN, EXEC, INIT = "run", "exec", "init"
_LESSONS = 3  # for each kind: what comes then is known
_AT_ONCE = 32  # runs of pages between two looks whether the wait is over
_RUN = re.compile(b"\1(?:\0?\1)*")  # pages side by side; one more costs less than one more call


class _Book:
    """A byte for each page there is at first: 1 if it was written to. Then how many wrote."""

    def __init__(self, places: list[range]) -> None:
        self.places = places
        self._count = sum(map(len, places)) // memory.PAGE
        self._shared = mmap.mmap(-1, self._count + 1)

    def add(self) -> None:
        """Write down the pages that this process has for itself."""
        if self._shared[-1] == _LESSONS:
            return
        self._shared[-1] += 1
        own = b"".join(memory.own(place) for place in self.places)
        self._shared[:-1] = _either([self.read(), own])

    def read(self) -> bytes:
        """Return what is known."""
        return self._shared[:-1]


_books: dict[str, _Book] = {}


def open_books() -> None:
    """Let this process's children, and theirs, learn from each other."""
    places = list(memory.writable())
    for kind in (RUN, EXEC, INIT):
        _books[kind] = _Book(places)


def copy(*kinds: str, until: int) -> None:
    """Get copies of what processes of these kinds write to, until the descriptor is readable."""
    books = [_books[kind] for kind in kinds if kind in _books]
    if not books:
        return
    poll = select.poll()
    poll.register(until, select.POLLIN)
    known = _either([book.read() for book in books])
    with suppress(OSError):
        for number, one in enumerate(_runs(books[0].places, known)):
            if number % _AT_ONCE == 0 and poll.poll(0):
                break
            memory.copy(one)


def learn(kind: str) -> None:
    """Write down what this process has written to, if that is not known yet."""
    if kind in _books:
        with suppress(OSError):
            _books[kind].add()


def _runs(places: list[range], known: bytes) -> Iterator[range]:
    first = 0
    for place in places:
        last = first + len(place) // memory.PAGE
        for run in _RUN.finditer(known[first:last]):
            start, end = (place.start + page * memory.PAGE for page in run.span())
            yield range(start, end)
        first = last


def _either(all_of: list[bytes]) -> bytes:
    """Return 1 where any has 1, of bytes that are 0 or 1, and equally many."""
    found = 0
    for one in all_of:
        found |= int.from_bytes(one)
    return found.to_bytes(len(all_of[0]))
