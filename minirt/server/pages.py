"""Pages that commands write to, copied for a child while it waits for its command.

A forked process shares its parent's memory; for the first write to a page it gets a copy, which
costs it 2 µs or more. In Python a mere call of a function writes, into its code (counters of the
interpreter), so ``run`` writes to 2,400 pages, a third of its processor time. They are much the
same ones each time. So a command that had many such faults writes down which pages it has a copy
of, into memory that all children share, and who waits next gets its copies beforehand. To copy all
that is shared would take longer than the wait.
"""

from __future__ import annotations

import mmap
import re
import resource
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress

from minirt.kernel import memory

_VERBS = frozenset({"run", "exec"})  # those that people wait for most: a copy not used is a loss
_MANY = 400  # faults that a command may have before it writes something down
_AT_ONCE = 32  # runs of pages between two looks whether somebody has come
_RUN = re.compile(b"\1(?:\0?\1)*")  # pages side by side; one more costs less than one more call


class Pages:
    """What is known of the memory that a server's children have from it."""

    def __init__(self) -> None:
        self._places = list(memory.writable())
        self._written = mmap.mmap(-1, sum(map(len, self._places)) // memory.PAGE)  # a byte each
        self._faults = 0  # until the command came

    def copy(self, is_over: Callable[[], bool]) -> None:
        """Get copies of what commands have written to so far, until ``is_over``."""
        with suppress(OSError):
            for number, one in enumerate(self._runs()):
                if number % _AT_ONCE == 0 and is_over():
                    break
                memory.copy(one)
        self._faults = _faults()

    def learn(self, words: Collection[str]) -> None:
        """Write down what the command of ``words`` has written to, if that is worth it."""
        if _VERBS.isdisjoint(words) or _faults() - self._faults < _MANY:
            return
        with suppress(OSError):
            own = b"".join(map(memory.own, self._places))
            known = int.from_bytes(self._written) | int.from_bytes(own)
            self._written[:] = known.to_bytes(len(own))

    def _runs(self) -> Iterator[range]:
        first = 0
        for place in self._places:
            last = first + len(place) // memory.PAGE
            for run in _RUN.finditer(self._written[first:last]):
                start, end = (place.start + page * memory.PAGE for page in run.span())
                yield range(start, end)
            first = last


def _faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
