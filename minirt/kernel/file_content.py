"""Copies what is in a file to another one, and keeps its holes (lseek(2), SEEK_DATA)."""

from __future__ import annotations

import errno
import os

_PIECE = 64 << 20  # bytes of one sendfile(2)
LARGEST_WITHOUT_SIZE = 64 << 20  # bytes


def copy_content(source: int, target: int) -> None:
    """Copy all bytes of a regular file to an empty one; what is appended meanwhile stays out.

    A file of /proc has a content although its size is 0: of such a file at most
    :data:`LARGEST_WITHOUT_SIZE` are copied. Raises OSError, with EFBIG if it has more.
    """
    size = os.fstat(source).st_size
    if not size:
        if _copy_range(source, target, 0, LARGEST_WITHOUT_SIZE + 1) > LARGEST_WITHOUT_SIZE:
            why = f"it has no size, and more than {LARGEST_WITHOUT_SIZE} bytes"
            raise OSError(errno.EFBIG, why)
        return
    end = 0
    while end < size:
        start, end = _next_data(source, end, size)
        os.lseek(target, start, os.SEEK_SET)
        _copy_range(source, target, start, end)
    os.ftruncate(target, size)


def _next_data(source: int, position: int, size: int) -> tuple[int, int]:
    """Return where the next data begin and end; from the end of the file on there are none."""
    try:
        start = os.lseek(source, position, os.SEEK_DATA)
        return min(start, size), min(os.lseek(source, start, os.SEEK_HOLE), size)
    except OSError as error:
        if error.errno == errno.ENXIO:  # A hole up to the end; or the file has become shorter.
            return size, size
        if error.errno == errno.EINVAL:  # This file system tells nothing of holes.
            return position, size
        raise


def _copy_range(source: int, target: int, start: int, end: int) -> int:
    """Copy bytes to where the target stands; return where that ended: the source may be shorter."""
    while start < end and (count := os.sendfile(target, source, start, min(_PIECE, end - start))):
        start += count
    return start
