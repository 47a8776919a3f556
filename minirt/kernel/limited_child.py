"""Runs a function in a child process with limits, where its library would take whatever there is.

libnftables(3) reads all that is in a packet filter, and ends its process when memory runs out. So
the packet filter of a network namespace that is somebody else's is read by a child.
"""

from __future__ import annotations

import errno
import os
import re
import resource
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

_DATA = re.compile(r"^VmData:\s+(\d+) kB$", re.MULTILINE)  # proc_pid_status(5)
_PIECE = 64 << 10  # bytes


def output_of(work: Callable[[], bytes], *, memory: int, limit: int, seconds: float) -> bytes:
    """Return what ``work`` returns in a child, which may allocate ``memory`` more bytes than we.

    Raises OSError: EFBIG if it needs more memory, or returns more than ``limit`` bytes; ETIMEDOUT
    if it takes longer than ``seconds``.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if not child:
        _be_child(work, writer, memory)
    os.close(writer)
    try:
        return _read(reader, limit, time.monotonic() + seconds)
    finally:
        os.close(reader)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _be_child(work: Callable[[], bytes], writer: int, memory: int) -> NoReturn:
    """Write what ``work`` returns, and its length first: a child that fails writes nothing."""
    try:
        for file in (1, 2):  # The library complains on standard error before it gives up.
            os.dup2(os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC), file)
        now = int((_DATA.search(Path("/proc/self/status").read_text()) or ["", "0"])[1]) << 10
        resource.setrlimit(resource.RLIMIT_DATA, (now + memory, now + memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        result = work()
        data = memoryview(len(result).to_bytes(8, "big") + result)
        while data:
            data = data[os.write(writer, data) :]
    finally:
        os._exit(1)


def _read(reader: int, limit: int, deadline: float) -> bytes:
    data = b""
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    while len(data) <= limit + 8:
        if not poll.poll(max(deadline - time.monotonic(), 0) * 1000):
            raise OSError(errno.ETIMEDOUT, "it takes too long")
        piece = os.read(reader, _PIECE)
        if not piece:
            break
        data += piece
    size, result = data[:8], data[8:]
    if len(size) < 8 or len(result) != int.from_bytes(size, "big"):
        raise OSError(errno.EFBIG, "it is too large")
    return result
