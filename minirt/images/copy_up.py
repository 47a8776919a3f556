"""Fills a new volume with what the image has at the place where it will be mounted.

Docker does so, and images rely on it: a database finds its empty data folder with the right
owner. The image is not trusted, but its unpacked layers and the volume are still ours alone.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from minirt.errors import kernel_refused
from minirt.images.attributes import is_welcome
from minirt.images.merged import Found, Pile, look_up, names_in, walk
from minirt.kernel.file_content import copy_content

_SOURCE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

Links = dict[tuple[int, int], str]  # device and inode -> the path of the copy


def copy_up(layers: tuple[Path, ...], path: str, destination: Path) -> None:
    """Copy the image's folder ``path`` into the empty folder ``destination``.

    ``layers`` are unpacked, the topmost first. Owners, permissions, times, attributes and hard
    links are kept; sockets aren't copied. If the image has no such folder nothing happens.
    Raises KernelRefused.
    """
    try:
        folder = walk(layers, path)
        if folder is not None:
            _copy_tree(folder, str(destination))
    except OSError as error:
        raise kernel_refused(f"Cannot fill the volume with the image's {path!r}", error) from error


def _copy_tree(folder: Pile, destination: str) -> None:
    """Copy what is in folders, and only then what is said of them: copying changes their times."""
    waiting, made = [(folder, destination)], []
    links: Links = {}
    while waiting:
        pile, target = waiting.pop()
        made.append((pile[0], target))
        for name in names_in(pile):
            found = look_up(pile, name)
            if found is None:
                continue
            if found.pile:
                os.mkdir(f"{target}/{name}", 0o700)  # noqa: PTH102  # names may be no text
                waiting.append((found.pile, f"{target}/{name}"))
            else:
                _copy(found, f"{target}/{name}", links)
    for source, target in reversed(made):
        _furnish(source, target, os.lstat(source))


def _copy(found: Found, target: str, links: Links) -> None:
    status = found.status
    first = links.setdefault((status.st_dev, status.st_ino), target)
    if first != target:
        os.link(first, target, follow_symlinks=False)
        return
    if stat.S_ISREG(status.st_mode):
        _copy_content(found.path, target)
        _furnish(found.path, target, status)
        return
    if stat.S_ISSOCK(status.st_mode):
        return  # nobody listens at it
    if stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(found.path), target)  # noqa: PTH115, PTH211  # as it is
        os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)
    else:
        os.mknod(target, status.st_mode, status.st_rdev)
        os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)
        os.chmod(target, stat.S_IMODE(status.st_mode))  # noqa: PTH101  # it is no link
    times = (status.st_atime_ns, status.st_mtime_ns)
    os.utime(target, ns=times, follow_symlinks=False)


def _copy_content(source: str, target: str) -> None:
    read = os.open(source, _SOURCE)
    try:
        write = os.open(target, _NEW_FILE, 0o600)
        try:
            copy_content(read, write)
        finally:
            os.close(write)
    finally:
        os.close(read)


def _furnish(source: str, target: str, status: os.stat_result) -> None:
    """Set owner, permissions, attributes and times, in the order that keeps them."""
    os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)
    os.chmod(target, stat.S_IMODE(status.st_mode))  # noqa: PTH101  # a file or a folder of ours
    for key in os.listxattr(source, follow_symlinks=False):
        if is_welcome(key):
            try:
                os.setxattr(target, key, os.getxattr(source, key, follow_symlinks=False))
            except OSError as error:
                if error.errno != errno.ENOTSUP:
                    raise
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
