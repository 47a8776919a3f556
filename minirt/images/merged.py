"""Layers seen as one tree, as overlayfs would show them, without mounting anything.

A folder of the tree is the pile of that folder's descriptors in every layer that has it, the
topmost first. A name is looked up from the top: the first layer that has it decides, a
whiteout ends the search, and only folders go on to collect the ones below. Everything is
opened one name at a time and never followed, so no symlink of an image leads anywhere here;
those on the way to a path are walked as text, with "/" meaning the tree's own root.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from minirt.images.stack import OPAQUE
from minirt.images.whiteouts import is_whiteout

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LONGEST_CHAIN = 40  # symlinks in one path, path_resolution(7)


@dataclass(frozen=True, slots=True)
class Found:
    """What a name stands for: a pile of folders, or one thing in the folder ``parent``."""

    parent: int  # the descriptor of the layer's folder that has the name
    name: str
    status: os.stat_result
    pile: tuple[int, ...] = ()  # of a folder: its descriptors, owned by who asked

    @property
    def is_folder(self) -> bool:
        """Say whether it is a folder."""
        return bool(self.pile)


@contextmanager
def tree(layers: tuple[Path, ...]) -> Iterator[tuple[int, ...]]:
    """Open the root folders of the layers, the topmost first, for the time of a ``with``."""
    pile: list[int] = []
    try:
        for layer in layers:
            pile.append(os.open(layer, _FOLDER))
        yield tuple(pile)
    finally:
        close(pile)


def close(pile: tuple[int, ...] | list[int]) -> None:
    """Close the descriptors of a folder."""
    for fd in pile:
        os.close(fd)


def look_up(folder: tuple[int, ...], name: str) -> Found | None:
    """Return what ``name`` is in a folder; None: it isn't there."""
    top: tuple[int, os.stat_result] | None = None
    pile: list[int] = []
    for fd in folder:
        try:
            status = os.lstat(name, dir_fd=fd)
        except FileNotFoundError:
            continue
        if not stat.S_ISDIR(status.st_mode):
            if top is None and not is_whiteout(status):
                top = fd, status
            break
        top = top or (fd, status)
        pile.append(os.open(name, _FOLDER, dir_fd=fd))
        if _is_opaque(pile[-1]):
            break
    return None if top is None else Found(top[0], name, top[1], tuple(pile))


def names_in(folder: tuple[int, ...]) -> list[str]:
    """Return every name that any layer has in a folder; some of them may be removed ones."""
    return sorted({name for fd in folder for name in os.listdir(fd)})  # noqa: PTH208


def walk(root: tuple[int, ...], path: str) -> tuple[int, ...] | None:
    """Open the folder ``path``, following symlinks inside the tree; None: there is none.

    The descriptors are the caller's, and new ones even for the root itself.
    """
    trail: list[tuple[int, ...]] = [tuple(os.dup(fd) for fd in root)]
    names, links = _reversed(path), 0
    try:
        while names:
            name = names.pop()
            if name == "..":
                if len(trail) > 1:
                    close(trail.pop())
                continue
            found = look_up(trail[-1], name)
            if found is None:
                return None
            if found.is_folder:
                trail.append(found.pile)
                continue
            if not stat.S_ISLNK(found.status.st_mode):
                return None
            links += 1
            if links > _LONGEST_CHAIN:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            target = os.readlink(name, dir_fd=found.parent)
            while target.startswith("/") and len(trail) > 1:
                close(trail.pop())
            names += _reversed(target)
        return trail.pop()
    finally:
        for pile in trail:
            close(pile)


def _reversed(path: str) -> list[str]:
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]


def _is_opaque(fd: int) -> bool:
    try:
        return os.getxattr(fd, OPAQUE) == b"y"
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP):
            return False
        raise
