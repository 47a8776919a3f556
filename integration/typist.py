"""A person at a terminal: types, reads, resizes the window, looks whether the line is raw."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass

from integration.sandbox import PATIENCE, minirt_words, wait_until

DETACH = "\x10\x11"  # ctrl-p ctrl-q


@dataclass(slots=True)
class Typist:
    """A program in the foreground of a terminal of its own; ``master`` is the person's side."""

    master: int
    slave: int
    child: subprocess.Popen[bytes]
    seen: str = ""

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self.master, text.encode())

    def read_until(self, text: str, seconds: float = 10) -> str:
        """Read until ``text`` appears; return what came before it since the last call."""
        deadline = time.monotonic() + seconds * PATIENCE
        while text not in self.seen:
            left = deadline - time.monotonic()
            assert left > 0, f"{text!r} never appeared, only {self.seen!r}"
            if select.select([self.master], [], [], left)[0]:
                self.seen += os.read(self.master, 65536).decode(errors="replace")
        before, _, self.seen = self.seen.partition(text)
        return before

    def resize(self, rows: int, columns: int) -> None:
        """Make the window another size; the kernel tells the foreground (SIGWINCH)."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def is_raw(self) -> bool:
        """Say whether the terminal passes all keys on as they are."""
        return not termios.tcgetattr(self.slave)[3] & (termios.ICANON | termios.ECHO)

    def wait(self, seconds: float = 10) -> int:
        """Wait until the program has ended; return its exit code."""
        wait_until(lambda: self.child.poll() is not None, "the end of the program", seconds)
        return self.child.returncode

    def rest(self) -> str:
        """Return what the program has printed and nobody has read yet."""
        while select.select([self.master], [], [], 0)[0]:
            self.seen += os.read(self.master, 65536).decode(errors="replace")
        return self.seen


@contextlib.contextmanager
def typing(*words: object, rows: int = 30, columns: int = 100) -> Iterator[Typist]:
    """Run a program at a terminal during the body."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    child = subprocess.Popen(
        ["setsid", "--ctty", *map(str, words)], stdin=slave, stdout=slave, stderr=slave
    )
    try:
        yield Typist(master, slave, child)
    finally:
        if child.poll() is None:
            child.kill()
        child.wait()
        os.close(master)
        os.close(slave)


def at_terminal(*words: object) -> contextlib.AbstractContextManager[Typist]:
    """Run ``minirt WORD…`` at a terminal."""
    return typing(*minirt_words(*words))
