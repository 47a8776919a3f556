"""Files that say who owns what, and locks that say whether the owner still lives.

The locks are "open file description" locks (fcntl(2), F_OFD_SETLK): they belong to the
open file, travel with its descriptor through fork(2) and SCM_RIGHTS, and the kernel drops
them with the last copy. ``kill -9`` therefore frees everything its victim owned, and no
clean-up code has run. F_OFD_GETLK asks without taking, so asking disturbs nobody.

Two rules follow. A locked file is written in place, never replaced: a rename would bring a
new inode, and leave the lock behind on the old one. And every descriptor is close-on-exec,
or a program that was started meanwhile would keep the lock of the dead.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterable
from pathlib import Path

# struct flock of fcntl(2) on 64-bit Linux: l_type, l_whence, l_start, l_len, l_pid, padded.
_FLOCK = struct.Struct("hhqqi4x")
_WHOLE_FILE = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
_NOTHING = _FLOCK.pack(fcntl.F_UNLCK, os.SEEK_SET, 0, 0, 0)

# include/uapi/asm-generic/fcntl.h; the fcntl module has no names for them.
_F_OFD_GETLK, _F_OFD_SETLK, _F_OFD_SETLKW = 36, 37, 38


def acquire(path: Path, *, wait: bool = False) -> int:
    """Lock ``path``, made if needed; return the descriptor that holds the lock.

    Raises BlockingIOError if somebody else holds it, unless told to ``wait``.
    """
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.fcntl(fd, _F_OFD_SETLKW if wait else _F_OFD_SETLK, _WHOLE_FILE)
        except BaseException:
            os.close(fd)
            raise
        if _is_named(path, fd):
            return fd
        os.close(fd)  # Its owner removed it between our open and our lock: take the new file.


def lock(fd: int) -> None:
    """Lock an open file, by whatever name. Raises BlockingIOError if somebody else holds it."""
    fcntl.fcntl(fd, _F_OFD_SETLK, _WHOLE_FILE)


def unlock(fd: int) -> None:
    """Let go of the lock of an open file, and keep it open."""
    fcntl.fcntl(fd, _F_OFD_SETLK, _NOTHING)


def release(path: Path, fd: int) -> None:
    """Remove the file, then the lock: in this order nobody ever locks a dead file."""
    path.unlink(missing_ok=True)
    os.close(fd)


def is_held(path: Path) -> bool:
    """Say whether somebody living holds ``path``."""
    return _is_held_in(None, path)


def _is_held_in(folder: int | None, name: str | Path) -> bool:
    try:
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return False
    try:
        return descriptor_is_held(fd)
    finally:
        os.close(fd)


def descriptor_is_held(fd: int) -> bool:
    """Say whether somebody else holds the lock of the open file ``fd``."""
    found = fcntl.fcntl(fd, _F_OFD_GETLK, _WHOLE_FILE)
    return bool(_FLOCK.unpack(found)[0] != fcntl.F_UNLCK)


def not_held(folder: Path, names: Iterable[str]) -> list[str]:
    """Return the files in ``folder`` that nobody living holds, and what is no file there.

    Asked one by one: three calls, some microseconds. proc_locks(5) shows all at once, but to
    open that is to wait for an RCU grace period (locks_start of fs/locks.c): 10 ms and more.
    """
    try:
        root = os.open(folder, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return list(names)
    try:
        return [name for name in names if not _is_held_in(root, name)]
    finally:
        os.close(root)


def _is_named(path: Path, fd: int) -> bool:
    try:
        named = path.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(named, os.fstat(fd))
