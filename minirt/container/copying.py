"""Copying between descriptors, in both directions at once, until the sources have ended."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress

from minirt.container.loop import Loop, Outbox
from minirt.runtime import standard_streams

CHUNK = 64 << 10  # bytes: what a pipe holds, unless somebody asks for more or less (pipe(7))
FULL = 16  # chunks that wait for a slow reader
LINGER = 0.2  # seconds for output that is still in a pipe when the command has ended
_WIDE = 256 << 10  # bytes
_NONBLOCK = 2  # SPLICE_F_NONBLOCK


def is_pipe(fd: int) -> bool:
    """Say whether the kernel can move what goes through ``fd`` (:class:`PipeFlow`).

    No stream of the operator's is handed to a container, and a pipe is no exception: whoever holds
    one end of it can open the other end, by /proc/self/fd. So a container could write into its
    standard input, for the next command of the operator's that reads there, and read what others
    have written to its standard output. A terminal could be pushed characters into (TIOCSTI,
    ioctl_tty(2)), and a file has a place on the host's disks, as has a named FIFO.
    """
    return standard_streams.is_anonymous_pipe(fd)


def are_one_pipe(first: int, second: int) -> bool:
    """Say whether two descriptors lead to the same pipe, as after ``2>&1``."""
    return is_pipe(first) and os.path.samestat(os.fstat(first), os.fstat(second))


def widened(fd: int) -> int:
    """Return a pipe through which a container's bytes go, with more room than usual.

    With the usual room a writer of 64 KiB at a time fills it with each write(2), and writer and
    reader wait for each other: half as many bytes a second. Whoever has sized it knows why, and
    there may be a limit (pipe(7), /proc/sys/fs/pipe-user-pages-soft).
    """
    with suppress(OSError):
        if fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ) == CHUNK:
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _WIDE)
    return fd


class PipeFlow:
    """Bytes from one pipe to another, which the kernel moves without copying them (splice(2)).

    It never waits for whoever reads the sink, though that may be somebody else's pipe, which must
    not be made non-blocking: its other users would notice. It closes its source, and in the end
    the sink if ``closes_sink``.
    """

    def __init__(self, loop: Loop, source: int, sink: int, *, closes_sink: bool = False) -> None:
        self.source = source
        self.has_ended = False  # the source has; nothing more will come
        self.is_over = False  # nothing more will be moved
        self.waits_for_room = False
        self._left: int | None = None  # bytes that are still moved; None: all
        self._loop, self._sink = loop, sink
        self._closes_sink = closes_sink
        self._listen()

    def finish(self) -> None:
        """Move no more than what the source can hold now: its writers may go on for ever."""
        if not self.has_ended:
            self._left = fcntl.fcntl(self.source, fcntl.F_GETPIPE_SZ)

    def _listen(self) -> None:
        self.waits_for_room = False
        self._loop.on_writable(self._sink, None)
        self._loop.on_readable(self.source, self._move)

    def _move(self) -> None:
        try:
            moved = os.splice(self.source, self._sink, _WIDE, flags=_NONBLOCK)
        except BlockingIOError:  # The sink is full.
            self.waits_for_room = True
            self._loop.on_readable(self.source, None)
            self._loop.on_writable(self._sink, self._listen)
            return
        except BrokenPipeError:  # Nobody reads the sink any more.
            moved = 0
        if not moved:  # The writers get SIGPIPE if there are any, as they would without us.
            self._loop.forget(self.source)
            os.close(self.source)
            if self._closes_sink:
                self._loop.forget(self._sink)
                os.close(self._sink)
            self.has_ended = self.is_over = True
        elif self._left is not None:
            self._left -= moved
            if self._left <= 0:
                self._loop.forget(self.source)
                self.is_over = True


class Flow:
    """Bytes from ``source`` to ``sink``; when the source ends, so does the sink if it is ours."""

    def __init__(self, loop: Loop, source: int, sink: int, *, closes_sink: bool) -> None:
        self.source = source
        self.has_ended = False  # the source has; nothing more will come
        self.is_over = False  # nothing more will be read
        self.waits_for_room = False  # never: the sink is written to until it has taken everything
        self._left: int | None = None  # bytes that are still read; None: all
        self._loop, self._sink = loop, sink
        self._closes_sink = closes_sink
        self._outbox = Outbox(loop, sink, self._write, self._end, self._listen)
        self._listen()

    def _write(self, data: bytes) -> int:
        return os.write(self._sink, data)

    def _listen(self) -> None:
        if not self.is_over and len(self._outbox) < FULL:
            self._loop.on_readable(self.source, self.read)

    def read(self) -> bool:
        """Read once; say whether there was something."""
        try:
            data = os.read(self.source, CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""  # EIO: the last process has left the terminal.
        self.has_ended = not data
        if self._left is not None:
            self._left -= len(data)
        if not data or (self._left is not None and self._left <= 0):
            self._loop.on_readable(self.source, None)
            self.is_over = True
        self._outbox.put(data)
        if not self.is_over and len(self._outbox) >= FULL:
            self._loop.on_readable(self.source, None)
        return bool(data)

    def finish(self) -> None:
        """Read no more than what the source can hold now: its writers may go on for ever."""
        try:
            self._left = fcntl.fcntl(self.source, fcntl.F_GETPIPE_SZ)
        except OSError:
            self._left = CHUNK  # a terminal, which holds less

    def _end(self) -> None:
        self.is_over = True
        self._loop.on_readable(self.source, None)
        if self._closes_sink:
            self._loop.forget(self._sink)
            os.close(self._sink)
            self._closes_sink = False
