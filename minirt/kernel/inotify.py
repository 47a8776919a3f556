"""Hear of changes in a directory, inotify(7).

An instance is a descriptor; a user may have 128 of them (/proc/sys/fs/inotify), but each
watches as many directories as one likes.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# include/uapi/linux/inotify.h
MODIFY, ATTRIB, CLOSE_WRITE, MOVED_FROM, MOVED_TO = 0x2, 0x4, 0x8, 0x40, 0x80
CREATE, DELETE, DELETE_SELF = 0x100, 0x200, 0x400
OVERFLOW, IGNORED, ONLYDIR = 0x4000, 0x8000, 0x0100_0000

_EVENT = struct.Struct("iIII")  # struct inotify_event: wd, mask, cookie, len; the name follows.
_BUFFER = 65536
_NO_INSTANCE = (
    "this user has as many inotify instances as allowed; "
    "raise that: sysctl -w fs.inotify.max_user_instances=1024"
)
_NO_WATCH = (
    "this user has as many inotify watches as allowed; "
    "raise that: sysctl -w fs.inotify.max_user_watches=1048576"
)

_libc = ctypes.PyDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Event:
    """What happened (``mask``) to ``name`` in the directory of ``watch``."""

    watch: int  # -1 for OVERFLOW: events were lost
    mask: int
    name: str


def instance() -> int:
    """Return a descriptor that collects events; reading it never waits.

    Raises OSError: EMFILE when the user has as many as allowed, or this process too many files.
    """
    try:
        return _check(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), None)
    except OSError as error:
        if error.errno == errno.EMFILE and _may_open_a_file():
            raise OSError(errno.EMFILE, _NO_INSTANCE) from None
        raise


def _may_open_a_file() -> bool:
    """Say whether this process has not reached its own limit, which has the same errno."""
    try:
        os.close(os.open("/", os.O_PATH | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def watch(fd: int, directory: Path, mask: int) -> int:
    """Collect the events of ``mask`` in ``directory``; return the number of the watch.

    Raises OSError: ENOSPC when the user has as many as allowed.
    """
    path = os.fsencode(directory)
    try:
        return _check(_libc.inotify_add_watch(fd, path, ctypes.c_uint32(mask)), str(directory))
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise OSError(errno.ENOSPC, _NO_WATCH) from None
        raise


def unwatch(fd: int, number: int) -> None:
    """Collect no more; harmless when the directory is gone, and the watch with it."""
    _libc.inotify_rm_watch(fd, number)


def events(fd: int) -> Iterator[Event]:
    """Take what has been collected so far."""
    while True:
        try:
            data = os.read(fd, _BUFFER)
        except BlockingIOError:
            return
        yield from parse(data)


def parse(data: bytes) -> Iterator[Event]:
    """Read the records of one read(2)."""
    offset = 0
    while offset < len(data):
        number, mask, _, length = _EVENT.unpack_from(data, offset)
        offset += _EVENT.size
        name = os.fsdecode(data[offset : offset + length].rstrip(b"\0"))
        offset += length
        yield Event(number, mask, name)


def _check(result: int, filename: str | None) -> int:
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), filename)
    return result
