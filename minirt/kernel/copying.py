"""Copies a tree of files into another, both held by descriptors; no link is ever followed."""

from __future__ import annotations

import os
import stat

from minirt.kernel import beneath
from minirt.kernel.beneath import Below, Shown
from minirt.kernel.file_content import copy_content
from minirt.kernel.steps import step

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def copy_tree(source: int, target: int) -> None:
    """Copy what is in the folder ``source`` into the empty folder ``target``. Raises OSError.

    Owners and modes are kept, and the times of files. One folder after the other, by its path
    from the top.
    """
    with step("fill it with what it covers", "cp", "-a", Below(source, "."), Shown(target)):
        waiting = [""]
        while waiting:
            path = waiting.pop()
            here = beneath.open_beneath(source, path, beneath.FOLDER)
            there = beneath.open_beneath(target, path, beneath.FOLDER)
            try:
                waiting += [f"{path}/{name}" for name in _copy_folder(here, there)]
            finally:
                os.close(here)
                os.close(there)


def _copy_folder(source: int, target: int) -> list[str]:
    """Copy the files of one folder, and make its folders; return their names."""
    folders = []
    readable = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=source)
    try:
        with os.scandir(readable) as entries:
            names = [one.name for one in entries]
    finally:
        os.close(readable)
    for name in names:
        found = os.lstat(name, dir_fd=source)
        if stat.S_ISDIR(found.st_mode):
            os.mkdir(name, 0o700, dir_fd=target)
            folders.append(name)
        elif stat.S_ISREG(found.st_mode):
            _copy_file(name, source, target)
        elif stat.S_ISLNK(found.st_mode):
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        elif not stat.S_ISSOCK(found.st_mode):
            os.mknod(name, found.st_mode, found.st_rdev, dir_fd=target)
        else:
            continue
        _keep_attributes(name, target, found)
    return folders


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
