"""Fills a new volume with what the image has at the place where it will be mounted.

Docker does so, and images rely on it: a database finds its empty data folder with the right
owner. The image is not trusted, but its unpacked layers and the volume are still ours alone.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from minirt.errors import in_quotes, kernel_refused
from minirt.images.attributes import is_welcome
from minirt.images.merged import Found, Pile, look_up, names_in, walk
from minirt.kernel.file_content import copy_content

_SOURCE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

# A layer may have a million names, thousands of levels, and an image hundreds of layers.
MOST_HELD = 6 << 20  # bytes: of the paths of open folders; and of files with several names
_BATCH = 32 << 10  # bytes of names that are read at once,
_SHALLOW, _BATCH_BELOW = 16, 2 << 10  # and in folders so many levels down
_ENTRY = 300  # bytes that a remembered file takes beside its path


@dataclass(slots=True)
class _Level:
    """A folder that is being copied."""

    pile: Pile
    target: str
    names: Iterator[str]


@dataclass(slots=True)
class _Links:
    """The files with several names, as far as they are remembered: further ones become copies."""

    paths: dict[tuple[int, int], str] = field(default_factory=dict)  # by device and inode
    held: int = 0  # bytes

    def first_name(self, status: os.stat_result, target: str) -> str:
        """Return the path of the first copy of a file: ``target``, if there is none yet."""
        key = status.st_dev, status.st_ino
        if key in self.paths or self.held > MOST_HELD:
            return self.paths.get(key, target)
        self.paths[key] = target
        self.held += len(target) + _ENTRY
        return target


def copy_up(layers: tuple[Path, ...], path: str, destination: Path) -> None:
    """Copy the image's folder ``path`` into the empty folder ``destination``.

    ``layers`` are unpacked, the topmost first. Owners, permissions, times, attributes and hard
    links are kept (of very many files with several names, some become copies); sockets aren't
    copied. If the image has no such folder nothing happens.
    Raises KernelRefused.
    """
    try:
        folder = walk(layers, path)
        if folder is not None:
            _copy_tree(folder, str(destination))
    except OSError as error:
        raise kernel_refused(
            f"Cannot fill the volume with the image's {in_quotes(path)}", error
        ) from error


def _copy_tree(folder: Pile, destination: str) -> None:
    """Copy what is in folders, and only then what is said of them: copying changes their times."""
    links = _Links()
    levels = [_Level(folder, destination, names_in(folder))]
    while levels:
        level = levels[-1]
        name = next(level.names, None)
        if name is None:
            _furnish(level.pile[0], level.target, os.lstat(level.pile[0]))
            levels.pop()
            continue
        found, target = look_up(level.pile, name), f"{level.target}/{name}"
        if found is None:
            continue
        if not found.pile:
            _copy(found, target, links)
            continue
        os.mkdir(target, 0o700)  # noqa: PTH102  # names may be no text
        batch = _BATCH if len(levels) < _SHALLOW else _BATCH_BELOW
        levels.append(_Level(found.pile, target, names_in(found.pile, batch)))
        if sum(sum(map(len, one.pile)) for one in levels) > MOST_HELD:
            raise OSError(errno.ENAMETOOLONG, "too many layers have folders that are too deep")


def _copy(found: Found, target: str, links: _Links) -> None:
    status = found.status
    first = links.first_name(status, target) if status.st_nlink > 1 else target
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
