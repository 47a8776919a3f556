"""The terminal that a person sits at: its size, and its raw mode (termios(3), ioctl_tty(2))."""

from __future__ import annotations

import os
import termios
import tty
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

_OUTPUT = 1  # the place of c_oflag in what tcgetattr returns


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
def raw(fd: int, *, translates_output: bool = False) -> Iterator[None]:
    """Pass every key on as it is typed for the body, then restore the terminal's modes.

    With ``translates_output`` it goes on to treat output as before: a newline also returns.
    """
    before = termios.tcgetattr(fd)
    tty.setraw(fd, termios.TCSADRAIN)  # not TCSAFLUSH: keys that were typed ahead count
    if translates_output:
        modes = termios.tcgetattr(fd)
        modes[_OUTPUT] = before[_OUTPUT]
        termios.tcsetattr(fd, termios.TCSADRAIN, modes)
    try:
        yield
    finally:
        # TCSADRAIN: what was printed still gets out with the modes that it was printed for.
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def pass_newlines(fd: int) -> None:
    """Let a terminal print a newline as it is, without a carriage return before it (ONLCR)."""
    modes = termios.tcgetattr(fd)
    modes[_OUTPUT] &= ~termios.ONLCR
    termios.tcsetattr(fd, termios.TCSANOW, modes)
