"""Fills a new volume with what the image has at the place where it will be mounted.

Docker does so, and images rely on it: a database finds its empty data folder with the right
owner. The image is not trusted, the volume is still ours alone.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from minirt.errors import kernel_refused
from minirt.images.attributes import is_welcome, set_mode
from minirt.images.merged import Found, close, look_up, names_in, tree, walk

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_AT_ONCE = 1 << 30  # bytes for one sendfile(2)


@dataclass(slots=True)
class _Copying:
    """One filling of a volume."""

    root: int  # the volume's folder
    links: dict[tuple[int, int], str] = field(default_factory=dict)  # device, inode -> the copy


def copy_up(layers: tuple[Path, ...], path: str, destination: Path) -> None:
    """Copy the image's folder ``path`` into the empty folder ``destination``.

    ``layers`` are unpacked, the topmost first. Owners, permissions, times, attributes and hard
    links are kept; sockets aren't copied. If the image has no such folder nothing happens.
    Raises KernelRefused.
    """
    try:
        with tree(layers) as root:
            folder = walk(root, path)
            if folder is None:
                return
            target = os.open(destination, _FOLDER)
            try:
                _fill(_Copying(target), folder, target, "")
            finally:
                os.close(target)
                close(folder)
    except OSError as error:
        raise kernel_refused(f"Cannot fill the volume with the image's {path!r}", error) from error


def _fill(copying: _Copying, folder: tuple[int, ...], target: int, path: str) -> None:
    """Copy what is in a folder, then what is said of it: copying changes its time."""
    for name in names_in(folder):
        found = look_up(folder, name)
        if found is None:
            continue
        if found.is_folder:
            try:
                _copy_folder(copying, found, target, f"{path}{name}/")
            finally:
                close(found.pile)
        else:
            _copy(copying, found, target, f"{path}{name}")
    _furnish(folder[0], target, os.fstat(folder[0]))


def _copy_folder(copying: _Copying, found: Found, parent: int, path: str) -> None:
    os.mkdir(found.name, 0o700, dir_fd=parent)
    target = os.open(found.name, _FOLDER, dir_fd=parent)
    try:
        _fill(copying, found.pile, target, path)
    finally:
        os.close(target)


def _copy(copying: _Copying, found: Found, parent: int, path: str) -> None:
    status, name = found.status, found.name
    first = copying.links.setdefault((status.st_dev, status.st_ino), path)
    if first != path:
        os.link(first, name, src_dir_fd=copying.root, dst_dir_fd=parent, follow_symlinks=False)
        return
    if stat.S_ISREG(status.st_mode):
        _copy_file(found, parent)
    elif stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(name, dir_fd=found.parent), name, dir_fd=parent)
        os.chown(name, status.st_uid, status.st_gid, dir_fd=parent, follow_symlinks=False)
    elif stat.S_ISSOCK(status.st_mode):
        return  # nobody listens at it
    else:
        os.mknod(name, status.st_mode, status.st_rdev, dir_fd=parent)
        os.chown(name, status.st_uid, status.st_gid, dir_fd=parent, follow_symlinks=False)
        set_mode(parent, name, stat.S_IMODE(status.st_mode))
    times = (status.st_atime_ns, status.st_mtime_ns)
    os.utime(name, ns=times, dir_fd=parent, follow_symlinks=False)


def _copy_file(found: Found, parent: int) -> None:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    source = os.open(found.name, flags, dir_fd=found.parent)
    try:
        target = os.open(found.name, _NEW_FILE, 0o600, dir_fd=parent)
        try:
            while os.sendfile(target, source, None, _AT_ONCE):
                pass
            _furnish(source, target, found.status)
        finally:
            os.close(target)
    finally:
        os.close(source)


def _furnish(source: int, target: int, status: os.stat_result) -> None:
    """Set owner, permissions, attributes and times, in the order that keeps them."""
    os.fchown(target, status.st_uid, status.st_gid)
    os.fchmod(target, stat.S_IMODE(status.st_mode))
    for key in os.listxattr(source):
        if is_welcome(key):
            try:
                os.setxattr(target, key, os.getxattr(source, key))
            except OSError as error:
                if error.errno != errno.ENOTSUP:
                    raise
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
