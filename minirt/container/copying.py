"""Copying between descriptors, in both directions at once, until the sources have ended."""

from __future__ import annotations

import os
import stat

from minirt.container.loop import Loop, Outbox

CHUNK = 64 << 10  # bytes: what a pipe holds
FULL = 16  # chunks that wait for a slow reader


def is_pipe(fd: int) -> bool:
    """Say whether ``fd`` may be handed to a container.

    A pipe leads nowhere but to its other end. A terminal could be pushed characters into
    (TIOCSTI, ioctl_tty(2)), and a file has a place on the host's disks.
    """
    return stat.S_ISFIFO(os.fstat(fd).st_mode)


class Flow:
    """Bytes from ``source`` to ``sink``; when the source ends, so does the sink if it is ours."""

    def __init__(self, loop: Loop, source: int, sink: int, *, closes_sink: bool) -> None:
        self.is_over = False
        self._loop, self._source, self._sink = loop, source, sink
        self._closes_sink = closes_sink
        self._outbox = Outbox(loop, sink, self._write, self._end, self._listen)
        self._listen()

    def _write(self, data: bytes) -> int:
        return os.write(self._sink, data)

    def _listen(self) -> None:
        if not self.is_over and len(self._outbox) < FULL:
            self._loop.on_readable(self._source, self.read)

    def read(self) -> bool:
        """Read once; say whether there was something."""
        try:
            data = os.read(self._source, CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""  # EIO: the last process has left the terminal.
        if not data:
            self._loop.on_readable(self._source, None)
            self.is_over = True
        self._outbox.put(data)
        if not self.is_over and len(self._outbox) >= FULL:
            self._loop.on_readable(self._source, None)
        return bool(data)

    def _end(self) -> None:
        self.is_over = True
        self._loop.on_readable(self._source, None)
        if self._closes_sink:
            self._loop.forget(self._sink)
            os.close(self._sink)
            self._closes_sink = False
