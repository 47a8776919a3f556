"""Copies a tree of files into another, both held by descriptors; no link is ever followed."""

from __future__ import annotations

import os
import stat
from contextlib import closing

from minirt.kernel.beneath import PATH_ONLY, Below, Shown
from minirt.kernel.descent import Descent, Trail
from minirt.kernel.file_content import copy_content
from minirt.kernel.steps import step

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def copy_tree(source: int, target: int) -> None:
    """Copy what is in the folder ``source`` into the empty folder ``target``. Raises OSError.

    Owners and modes are kept, and the times of files. A folder may be as full as it likes
    (``kernel.descent``).
    """
    with (
        step("fill it with what it covers", "cp", "-a", Below(source, "."), Shown(target)),
        closing(Descent(source)) as here,
        closing(Trail(target)) as there,
    ):
        while (name := here.next_name()) is not None or here.depth:
            if name is None:
                here.leave()
                there.leave()
            elif _copy_one(name, here.fd, there.fd):
                _enter(here, name)
                _enter(there, name)


def _copy_one(name: str, source: int, target: int) -> bool:
    """Copy what has a name in the folder ``source``; of a folder, but itself. Say if it is one."""
    found = os.lstat(name, dir_fd=source)
    if stat.S_ISDIR(found.st_mode):
        os.mkdir(name, 0o700, dir_fd=target)
    elif stat.S_ISREG(found.st_mode):
        _copy_file(name, source, target)
    elif stat.S_ISLNK(found.st_mode):
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
    elif stat.S_ISSOCK(found.st_mode):
        return False
    else:
        os.mknod(name, found.st_mode, found.st_rdev, dir_fd=target)
    _keep_attributes(name, target, found)
    return stat.S_ISDIR(found.st_mode)


def _enter(trail: Trail, name: str) -> None:
    folder = os.open(name, PATH_ONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=trail.fd)
    try:
        trail.enter(folder)
    finally:
        os.close(folder)


def _copy_file(name: str, source: int, target: int) -> None:
    read = os.open(name, _READ, dir_fd=source)
    try:
        write = os.open(name, _NEW, 0o600, dir_fd=target)
        try:
            copy_content(read, write)
        finally:
            os.close(write)
    finally:
        os.close(read)


def _keep_attributes(name: str, folder: int, found: os.stat_result) -> None:
    os.chown(name, found.st_uid, found.st_gid, dir_fd=folder, follow_symlinks=False)
    if not stat.S_ISLNK(found.st_mode):
        os.chmod(name, stat.S_IMODE(found.st_mode), dir_fd=folder)
    times = (found.st_atime_ns, found.st_mtime_ns)
    os.utime(name, ns=times, dir_fd=folder, follow_symlinks=False)
