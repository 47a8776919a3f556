"""Walks down a tree of directories that somebody else may change meanwhile, and may have made huge.

One directory is open at a time, however deep the tree is. Each is opened by its name in the one
above, never by a path, and never through a symlink. The way back is "..", and it must lead to the
directory that we came from, by device and inode number: a directory that was moved elsewhere
meanwhile ends the walk with an error.

Names are read in batches (getdents64(2)), so a directory may have any number of them. A batch is
sorted; a directory that fills several batches is not sorted as a whole.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from dataclasses import dataclass, field
from pathlib import Path

from minirt.kernel import libc

DEEPEST = 10_000  # directories inside each other
BATCH = 256 << 10  # bytes of one getdents64(2): 8,000 short names, or 900 of 255 bytes
_KEPT = 16  # levels whose names are kept: those further up read their batch again
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ENTRY = struct.Struct("=QqHB")  # struct linux_dirent64: inode, offset, length, type; then the name


class Trail:
    """A directory that is open, and the way back up to where the walk began.

    Raises OSError wherever a directory can't be opened; with ESTALE if it was moved.
    """

    def __init__(self, top: int) -> None:
        self.fd = _opened(top)
        self._above: list[tuple[int, int]] = []

    @property
    def depth(self) -> int:
        """Return how many levels below the top the open directory is."""
        return len(self._above)

    def enter(self, directory: int) -> None:
        """Go down into a directory in this one, of which the caller has a descriptor (O_PATH).

        Raises OSError; with ENAMETOOLONG below :data:`DEEPEST` levels.
        """
        if self.depth >= DEEPEST:
            why = f"more than {DEEPEST} directories are inside each other"
            raise OSError(errno.ENAMETOOLONG, why)
        self._above.append(identity(self.fd))
        self._move(_opened(directory))

    def leave(self) -> None:
        """Go back up."""
        above = os.open("..", _DIRECTORY, dir_fd=self.fd)
        if identity(above) != self._above.pop():
            os.close(above)
            raise OSError(errno.ESTALE, "a directory was moved meanwhile")
        self._move(above)

    def close(self) -> None:
        """Close the open directory."""
        os.close(self.fd)

    def _move(self, fd: int) -> None:
        os.close(self.fd)
        self.fd = fd


@dataclass(slots=True)
class _Level:
    """How far the names of a directory have been handled."""

    batch: int = 0  # where the batch begins, and where the next one does (lseek(2))
    next_batch: int = 0
    names: list[str] | None = field(default_factory=list)  # backwards; None: no longer kept
    last: str = ""  # the name that was handled last


class Descent(Trail):
    """A walk through all directories of a tree, as its user enters and leaves them."""

    def __init__(self, top: int) -> None:
        super().__init__(top)
        self._levels = [_Level()]

    def next_name(self) -> str | None:
        """Return the next name in the open directory; None: there are no more."""
        level = self._levels[-1]
        if level.names is None:
            names, _ = read_names(self.fd, level.batch)
            level.names = [name for name in names if name > level.last]
        while not level.names:
            level.batch = level.next_batch
            level.names, level.next_batch = read_names(self.fd, level.batch)
            if level.batch == level.next_batch:
                return None
        level.last = level.names.pop()
        return level.last

    def enter(self, directory: int) -> None:
        """Go down, as :meth:`Trail.enter` does."""
        super().enter(directory)
        self._levels.append(_Level())
        if len(self._levels) > _KEPT:
            self._levels[-1 - _KEPT].names = None

    def leave(self) -> None:
        """Go back up: :meth:`next_name` goes on behind the directory that we come from."""
        super().leave()
        self._levels.pop()


def of_path(path: Path) -> Descent:
    """Begin a walk at a directory, not following a symlink. Raises OSError."""
    top = os.open(path, _DIRECTORY)
    try:
        return Descent(top)
    finally:
        os.close(top)


def read_names(directory: int, position: int = 0, most: int = BATCH) -> tuple[list[str], int]:
    """Return a batch of names, sorted backwards, and the position of the next batch.

    ``most`` is how many bytes of struct linux_dirent64 are read. At the end of the directory both
    positions are the same; also if the directory was removed meanwhile.
    """
    buffer = ctypes.create_string_buffer(most)
    try:
        os.lseek(directory, position, os.SEEK_SET)
        size = libc.syscall("getdents64", directory, buffer, most)
    except OSError:
        if os.fstat(directory).st_nlink:
            raise
        return [], position  # ext4 knows no positions (EINVAL) or names (ENOENT) of it any more.
    content, offset, names = memoryview(buffer)[:size], 0, []
    while offset < size:
        _, position, length, _ = _ENTRY.unpack_from(content, offset)
        name = bytes(content[offset + _ENTRY.size : offset + length]).partition(b"\0")[0]
        if name not in (b".", b".."):
            names.append(os.fsdecode(name))
        offset += length
    return sorted(names, reverse=True), position


def identity(fd: int) -> tuple[int, int]:
    """Return what tells a file from all others: its device and inode number."""
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def _opened(directory: int) -> int:
    """Open a directory of which there is a descriptor anew, so that it can be read."""
    return os.open(".", _DIRECTORY, dir_fd=directory)
