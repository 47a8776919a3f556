"""Reads what another process controls, never more of it than a limit.

A process decides how long its command line is (prctl(2), PR_SET_MM_MAP: it may be a mapping of
terabytes that takes no memory) and how large its files are (truncate(2) makes a hole of any size).
A reader without a limit takes all of that into its own memory.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

# O_NONBLOCK and O_NOCTTY: a FIFO without a writer doesn't block open(2), and a terminal doesn't
# become that of this process.
OPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def beginning(path: str | Path, limit: int) -> bytes:
    """Return the first bytes of a file, at most ``limit`` of them. Raises OSError."""
    fd = os.open(path, OPEN)
    try:
        return _read(fd, limit)
    finally:
        os.close(fd)


def whole_file(path: str | Path, limit: int) -> bytes:
    """Return all bytes of a regular file.

    Raises OSError; with EFBIG if it has more than ``limit``, with EINVAL if it is not regular.
    """
    fd = os.open(path, OPEN)
    try:
        return whole_content(fd, limit)
    finally:
        os.close(fd)


def whole_content(fd: int, limit: int) -> bytes:
    """Return all bytes of a regular file that has just been opened, as :func:`whole_file` does."""
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise OSError(errno.EINVAL, "it is no regular file")
    content = _read(fd, limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"it is larger than {limit} bytes")
    return content


def _read(fd: int, limit: int) -> bytes:
    """Read until the end of the file, or ``limit`` bytes: read(2) may return less than is there."""
    content = b""
    while len(content) < limit and (piece := os.read(fd, limit - len(content))):
        content += piece
    return content
