"""Copies a file or a tree to where others may be, held by descriptors on either side.

Of the two sides one may be hostile, and busy meanwhile: a name is opened once, from its open
folder, and never followed if it is a symlink. Devices, FIFOs and sockets are left out: a device
node opens the same device wherever it lies.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field

from minirt.kernel.beneath import PATH_ONLY

_PIECE = 1 << 20
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OVER = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Copying:
    """How to copy, and what was left out."""

    owner: tuple[int, int] | None  # of all copies; None: they keep theirs
    kept_bits: int = 0o7777  # of the mode
    left_out: list[str] = field(default_factory=list)


def copy(how: Copying, source: int, folder: int, name: str) -> None:
    """Copy what ``source`` names (O_PATH) to ``name`` in ``folder``. Raises OSError."""
    found = os.fstat(source)
    if stat.S_ISDIR(found.st_mode):
        with_name = _folder(folder, name)
        try:
            copy_content(how, source, with_name)
            _furnish(how, with_name, found)
        finally:
            os.close(with_name)
    elif stat.S_ISREG(found.st_mode):
        _copy_file(how, source, folder, name)
    elif stat.S_ISLNK(found.st_mode):
        _make_way(folder, name)
        os.symlink(os.readlink("", dir_fd=source), name, dir_fd=folder)
        uid, gid = how.owner or (found.st_uid, found.st_gid)
        os.chown(name, uid, gid, dir_fd=folder, follow_symlinks=False)
    else:
        how.left_out.append(name)


def copy_content(how: Copying, source: int, folder: int) -> None:
    """Copy what is in one folder into another, which stays what it is itself."""
    readable = os.open(f"/proc/self/fd/{source}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with os.scandir(readable) as entries:
            names = [one.name for one in entries]
        for name in names:
            try:
                child = os.open(name, PATH_ONLY | os.O_NOFOLLOW, dir_fd=readable)
            except FileNotFoundError:
                continue  # It was removed meanwhile.
            try:
                copy(how, child, folder, name)
            finally:
                os.close(child)
    finally:
        os.close(readable)


def _folder(parent: int, name: str) -> int:
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        pass
    return os.open(name, _FOLDER, dir_fd=parent)


def _copy_file(how: Copying, source: int, folder: int, name: str) -> None:
    read = os.open(f"/proc/self/fd/{source}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        write = _open_new(folder, name)
        try:
            while os.sendfile(write, read, None, _PIECE):
                pass
            _furnish(how, write, os.fstat(read))
        finally:
            os.close(write)
    finally:
        os.close(read)


def _open_new(folder: int, name: str) -> int:
    """Open a new file in the place of an old one; over that if it is a mount, as /etc/hosts."""
    try:
        _make_way(folder, name)
        return os.open(name, _NEW, 0o600, dir_fd=folder)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
    fd = os.open(name, _OVER, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), name)
    os.ftruncate(fd, 0)
    return fd


def _make_way(folder: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        pass


def _furnish(how: Copying, fd: int, found: os.stat_result) -> None:
    os.fchown(fd, *(how.owner or (found.st_uid, found.st_gid)))
    os.fchmod(fd, stat.S_IMODE(found.st_mode) & how.kept_bits)
    os.utime(fd, ns=(found.st_atime_ns, found.st_mtime_ns))
