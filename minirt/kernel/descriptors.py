"""File descriptors, several at once."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from collections.abc import Iterable, Mapping

from minirt.kernel import rlimits

MOST_LEFT = 200
_HIGH = 100

_left: list[int] = []


def close(fds: Iterable[int | None]) -> None:
    """Close them all, close(2); None is one that was never opened."""
    for fd in fds:
        if fd is not None:
            os.close(fd)


def open_standard_streams() -> None:
    """Open /dev/null for each of descriptors 0 to 2 that the caller has closed (stdin(3)).

    Else the next file that this process opens gets the number, and what is meant for standard
    error is written to it. Go's runtime does the same, so runc and Docker have all three.
    """
    for fd, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:  # The interpreter has looked (sys.__stdin__).
            os.set_inheritable(os.open("/dev/null", os.O_RDWR), True)  # the lowest number: this one
            setattr(sys, name, os.fdopen(fd, mode, closefd=False))


def high(fd: int) -> int:
    """Give a descriptor a number of 100 or more, and close the old one.

    A caller may ask for lower ones to be handed on to a command. Raises OSError: EMFILE.
    """
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _HIGH)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE)) from None  # RLIMIT_NOFILE
    finally:
        os.close(fd)


def leave(fd: int) -> None:
    """Leave it to the end of this process to close ``fd``, with what that makes the kernel do.

    A command has answered before its end, so nobody waits. When there are many, or a quarter of
    what this process may have open (getrlimit(2)), all are closed.
    """
    soft, _ = rlimits.read("nofile")
    if len(_left) >= min(MOST_LEFT, soft // 4):
        close_left()
    _left.append(fd)


def close_left() -> None:
    """Close what was left."""
    close(_left)
    _left.clear()


def renumber(wanted: Mapping[int, int]) -> None:
    """Give descriptors other numbers, the keys; they are closed on exec (dup2(2))."""
    free = max([*wanted.keys(), *wanted.values()], default=0) + 1
    # Out of each other's way first: a number that is wanted may be taken by another.
    safe = {number: fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, free) for number, fd in wanted.items()}
    close(wanted.values())
    for number, fd in safe.items():
        os.dup2(fd, number, inheritable=False)
    close(safe.values())
