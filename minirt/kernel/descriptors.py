"""File descriptors, several at once."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Mapping


def close(fds: Iterable[int]) -> None:
    """Close them all, close(2)."""
    for fd in fds:
        os.close(fd)


def renumber(wanted: Mapping[int, int]) -> None:
    """Give descriptors other numbers, the keys; they are closed on exec (dup2(2))."""
    free = max([*wanted.keys(), *wanted.values()], default=0) + 1
    # Out of each other's way first: a number that is wanted may be taken by another.
    safe = {number: fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, free) for number, fd in wanted.items()}
    close(wanted.values())
    for number, fd in safe.items():
        os.dup2(fd, number, inheritable=False)
    close(safe.values())
