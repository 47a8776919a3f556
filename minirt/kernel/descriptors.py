"""File descriptors, several at once."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Mapping

MOST_LEFT = 200  # below what a process may have open: 1024 as a rule (getrlimit(2))

_left: list[int] = []


def close(fds: Iterable[int]) -> None:
    """Close them all, close(2)."""
    for fd in fds:
        os.close(fd)


def leave(fd: int) -> None:
    """Leave it to the end of this process to close ``fd``, with what that makes the kernel do.

    A command has answered before its end, so nobody waits. When there are many all are closed.
    """
    if len(_left) >= MOST_LEFT:
        close(_left)
        _left.clear()
    _left.append(fd)


def renumber(wanted: Mapping[int, int]) -> None:
    """Give descriptors other numbers, the keys; they are closed on exec (dup2(2))."""
    free = max([*wanted.keys(), *wanted.values()], default=0) + 1
    # Out of each other's way first: a number that is wanted may be taken by another.
    safe = {number: fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, free) for number, fd in wanted.items()}
    close(wanted.values())
    for number, fd in safe.items():
        os.dup2(fd, number, inheritable=False)
    close(safe.values())
