"""Layers seen as one tree, as overlayfs would show them, without mounting anything.

A folder of the tree is the pile of that folder in every layer that has it, the topmost first.
A name is looked up from the top: the first layer that has it decides, a whiteout ends the
search, and only folders go on to collect the ones below. Symlinks on the way to a path are
walked as text, with "/" meaning the tree's own root. Paths may be used here: unpacked layers
never change, and each name on the way has been looked at without following it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from minirt.images.stack import OPAQUE
from minirt.images.whiteouts import is_whiteout
from minirt.kernel import descent

Pile = tuple[str, ...]

_LONGEST_CHAIN = 40  # symlinks in one path, path_resolution(7)


@dataclass(frozen=True, slots=True)
class Found:
    """What a name stands for."""

    path: str  # in the topmost layer that has it
    status: os.stat_result
    pile: Pile = ()  # of a folder


def look_up(folder: Pile, name: str) -> Found | None:
    """Return what ``name`` is in a folder; None: it isn't there."""
    top: tuple[str, os.stat_result] | None = None
    pile: list[str] = []
    for one in folder:
        path = f"{one}/{name}"
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            continue
        if not stat.S_ISDIR(status.st_mode):
            if top is None and not is_whiteout(status):
                top = path, status
            break
        top = top or (path, status)
        pile.append(path)
        if _is_opaque(path):
            break
    return None if top is None else Found(*top, tuple(pile))


def names_in(folder: Pile, batch: int = descent.BATCH) -> Iterator[str]:
    """Yield every name that any layer has in a folder, once; some of them may be removed ones.

    A layer may have a million names there: they are read in batches of so many bytes, and sorted
    within each. No directory is open between two batches.
    """
    for number, layer in enumerate(folder):
        position, is_end = 0, False
        while not is_end:
            names, after = _read_names(layer, position, batch)
            for name in reversed(names):
                if not any(os.path.lexists(f"{upper}/{name}") for upper in folder[:number]):
                    yield name
            position, is_end = after, after == position


def _read_names(folder: str, position: int, batch: int) -> tuple[list[str], int]:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return descent.read_names(fd, position, batch)
    finally:
        os.close(fd)


def walk(layers: tuple[Path, ...], path: str) -> Pile | None:
    """Return the folder ``path``, following symlinks inside the tree; None: there is none."""
    trail: list[Pile] = [tuple(map(str, layers))]
    names, links = _reversed(path), 0
    while names:
        name = names.pop()
        if name == "..":
            trail = trail[:-1] or trail
            continue
        found = look_up(trail[-1], name)
        if found is None:
            return None
        if found.pile:
            trail.append(found.pile)
            continue
        if not stat.S_ISLNK(found.status.st_mode):
            return None
        links += 1
        if links > _LONGEST_CHAIN:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        target = os.readlink(found.path)  # noqa: PTH115  # as text: "/" and ".." mean other things
        if target.startswith("/"):
            del trail[1:]
        names += _reversed(target)
    return trail[-1]


def _reversed(path: str) -> list[str]:
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]


def _is_opaque(path: str) -> bool:
    try:
        return os.getxattr(path, OPAQUE) == b"y"
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP):
            return False
        raise
