"""Copies a file or a tree to where others may be, held by descriptors on either side.

Of the two sides one may be hostile, and busy meanwhile: a name is opened once, from its open
folder, and never followed if it is a symlink. Devices, FIFOs and sockets are left out: a device
node opens the same device wherever it lies. A tree may be as deep and a folder as full as it likes
(``kernel.descent``); holes of files are kept.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from contextlib import closing
from dataclasses import dataclass, field

from minirt.kernel.beneath import PATH_ONLY
from minirt.kernel.descent import Descent, Trail, identity
from minirt.kernel.file_content import copy_content as copy_file_content

MOST_NAMES = 20  # of what was left out
LEASE_PATIENCE = 2.0  # seconds for each file; the kernel would take a lease away after 45
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OVER = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PAUSE = 0.01  # seconds


@dataclass(slots=True)
class Copying:
    """How to copy, and what was left out."""

    owner: tuple[int, int] | None  # of all copies; None: they keep theirs
    kept_bits: int = 0o7777  # of the mode
    left_out: list[str] = field(default_factory=list)  # the first MOST_NAMES names
    more_left_out: int = 0  # how many names there were after these


def copy(how: Copying, source: int, folder: int, name: str) -> None:
    """Copy what ``source`` names (O_PATH) to ``name`` in ``folder``. Raises OSError."""
    found = os.fstat(source)
    if not stat.S_ISDIR(found.st_mode):
        _copy_one(how, source, found, folder, name)
        return
    with_name = _folder(folder, name)
    try:
        copy_content(how, source, with_name)
        _furnish(how, with_name, found)
    finally:
        os.close(with_name)


def copy_content(how: Copying, source: int, folder: int) -> None:
    """Copy what is in one folder into another, which stays what it is itself.

    Raises OSError: with EINVAL if the second is inside the first; with ESTALE if a folder was
    moved meanwhile, on either side.
    """
    own = identity(folder)
    with closing(Descent(source)) as here, closing(Trail(folder)) as there:
        entered: list[os.stat_result] = []
        while (name := here.next_name()) is not None or here.depth:
            if name is None:
                _furnish(how, there.fd, entered.pop())
                here.leave()
                there.leave()
                continue
            try:
                child = os.open(name, PATH_ONLY | os.O_NOFOLLOW, dir_fd=here.fd)
            except FileNotFoundError:
                continue  # It was removed meanwhile.
            try:
                found = os.fstat(child)
                if not stat.S_ISDIR(found.st_mode):
                    _copy_one(how, child, found, there.fd, name)
                    continue
                if identity(child) == own:
                    raise OSError(errno.EINVAL, "the copy would be inside of what is copied", name)
                here.enter(child)
                _enter_copy(there, name)
                entered.append(found)
            finally:
                os.close(child)


def _enter_copy(there: Trail, name: str) -> None:
    made = _folder(there.fd, name)
    try:
        there.enter(made)
    finally:
        os.close(made)


def _copy_one(how: Copying, source: int, found: os.stat_result, folder: int, name: str) -> None:
    """Copy what is no folder."""
    if stat.S_ISREG(found.st_mode):
        _copy_file(how, source, folder, name)
    elif stat.S_ISLNK(found.st_mode):
        _make_way(folder, name)
        os.symlink(os.readlink("", dir_fd=source), name, dir_fd=folder)
        uid, gid = how.owner or (found.st_uid, found.st_gid)
        os.chown(name, uid, gid, dir_fd=folder, follow_symlinks=False)
    elif len(how.left_out) < MOST_NAMES:
        how.left_out.append(name)
    else:
        how.more_left_out += 1


def _folder(parent: int, name: str) -> int:
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        pass
    return os.open(name, _FOLDER, dir_fd=parent)


def _copy_file(how: Copying, source: int, folder: int, name: str) -> None:
    read = _open_to_read(source, name)
    try:
        write = _open_new(folder, name)
        try:
            copy_file_content(read, write)
            _furnish(how, write, os.fstat(read))
        finally:
            os.close(write)
    finally:
        os.close(read)


def _open_to_read(source: int, name: str) -> int:
    """Open a file for reading.

    A process can hold a lease on it, which it is asked to give up when somebody opens the file
    (fcntl(2), F_SETLEASE). A hostile one does not: without O_NONBLOCK each open would take 45
    seconds. Raises OSError, EAGAIN.
    """
    deadline = time.monotonic() + LEASE_PATIENCE
    while True:
        try:
            flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
            return os.open(f"/proc/self/fd/{source}", flags)
        except BlockingIOError:
            if time.monotonic() > deadline:
                why = "a process holds a lease on the file, and does not give it up"
                raise OSError(errno.EAGAIN, why, name) from None
            time.sleep(_PAUSE)


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
