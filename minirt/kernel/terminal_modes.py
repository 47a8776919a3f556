"""The terminal that a person sits at: its size, and its raw mode (termios(3), ioctl_tty(2))."""

from __future__ import annotations

import os
import termios
import tty
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


def size(fd: int) -> tuple[int, int]:
    """Return rows and columns of the terminal ``fd``."""
    columns, rows = os.get_terminal_size(fd)
    return rows, columns


def size_of_first(fds: Iterable[int]) -> tuple[int, int] | None:
    """Return rows and columns of the first that is a terminal; None if there is none."""
    for fd in fds:
        if os.isatty(fd):
            return size(fd)
    return None


@contextmanager
def raw(fd: int) -> Iterator[None]:
    """Pass every key on as it is typed for the body, then restore the terminal's modes."""
    before = termios.tcgetattr(fd)
    tty.setraw(fd, termios.TCSADRAIN)  # not TCSAFLUSH: keys that were typed ahead count
    try:
        yield
    finally:
        # TCSADRAIN: what was printed still gets out with the modes that it was printed for.
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
