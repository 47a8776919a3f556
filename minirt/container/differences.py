"""``diff``: what a container has changed of its image, read from its own layer.

Overlayfs writes into it what was changed, whole; of what was deleted a whiteout: a device
0:0 (Documentation/filesystems/overlayfs.rst). The container may run, and change its layer
meanwhile: nothing of it is looked up by a path (``kernel.descent``).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from minirt.container import record, spec_mounts
from minirt.container.record import Record
from minirt.images import store as images
from minirt.images.merged import Pile, look_up, walk
from minirt.kernel import descent
from minirt.kernel.descent import Descent

# What every start makes, to mount on it; Docker doesn't show it either.
MADE_FOR_MOUNTS = {*(f"/etc/{name}" for name in spec_mounts.OWN_FILES), spec_mounts.INIT_INSIDE}
ADDED, CHANGED, DELETED = "A", "C", "D"
UNREAD = "UNREAD"  # of a directory: what is in it is not told, its path being too long
LONGEST = 16 << 10  # bytes of a path whose content is told
LONGEST_IN_IMAGE = 3 << 10  # bytes of such a path, of a directory that the image has as well


@dataclass(slots=True)
class _Level:
    """A directory that is open."""

    name: str  # "" for the root
    image: Pile | None  # what the image has there
    change: str = ""  # what is to be told of it before anything that is in it


def differences(one: Record) -> Iterator[tuple[str, str]]:
    """Yield what was added, changed or deleted, and its path; by path, as Docker does.

    A directory with thousands of changes is told in several parts, each sorted. After a directory
    that is too deep :data:`UNREAD` is told. Raises OSError, with ESTALE if a directory was moved
    meanwhile.
    """
    image = walk(images.find(one.image_id).layers, "/")
    try:
        changed = descent.of_path(record.directory(one.id) / "upper")
    except FileNotFoundError:
        return  # It was never started.
    with closing(changed):
        yield from _below(changed, [_Level("", image)])


def _below(changed: Descent, levels: list[_Level]) -> Iterator[tuple[str, str]]:
    while (name := changed.next_name()) is not None or changed.depth:
        if name is None:
            changed.leave()
            levels.pop()
            continue
        try:
            child = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=changed.fd)
        except FileNotFoundError:
            continue  # It was removed meanwhile.
        try:
            yield from _one(changed, levels, name, child)
        finally:
            os.close(child)


def _one(
    changed: Descent, levels: list[_Level], name: str, child: int
) -> Iterator[tuple[str, str]]:
    """Tell of one name in the open directory; enter it if it is a directory."""
    above, status = levels[-1], os.fstat(child)
    path = _path(levels, name)
    old = look_up(above.image, name) if above.image else None
    kind = CHANGED if old else ADDED
    if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
        if not old:
            return
        kind = DELETED
    if path in MADE_FOR_MOUNTS and not old:
        return
    if not stat.S_ISDIR(status.st_mode):
        yield from _awaited(levels)
        yield kind, path
        return
    has_old = old is not None and bool(old.pile) and not _is_opaque(child)
    below = _Level(name, old.pile if old and has_old else None, kind)
    is_place = old is not None and _says(status) == _says(old.status)
    if not is_place:  # Otherwise it may be nothing but a place to mount on: its content decides.
        yield from _awaited([*levels, below])
    longest = LONGEST_IN_IMAGE if below.image else LONGEST
    if len(os.fsencode(path)) > longest or changed.depth >= descent.DEEPEST:
        yield from _awaited([*levels, below])
        yield UNREAD, path
        return
    changed.enter(child)
    levels.append(below)


def _awaited(levels: list[_Level]) -> Iterator[tuple[str, str]]:
    """Tell of the directories that were not told of yet, the outermost first."""
    first = len(levels)
    while first and levels[first - 1].change:
        first -= 1
    for number, level in enumerate(levels[first:], first):
        yield level.change, _path(levels[:number], level.name)
        level.change = ""


def _path(above: list[_Level], name: str) -> str:
    """Return the path of a name; no level keeps its own, or deep trees would need much memory."""
    return "/".join([*(level.name for level in above), name])


def _says(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_mode, status.st_uid, status.st_gid


def _is_opaque(folder: int) -> bool:
    """Say whether a folder hides all that the image has in its place."""
    try:
        # A descriptor with O_PATH has no attributes of its own: fgetxattr(2), EBADF.
        return os.getxattr(f"/proc/self/fd/{folder}", "trusted.overlay.opaque") == b"y"
    except OSError:
        return False
