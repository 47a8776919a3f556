"""``diff``: what a container has changed of its image, read from its own layer.

Overlayfs writes into it what was changed, whole; of what was deleted a whiteout: a device
0:0 (Documentation/filesystems/overlayfs.rst).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from minirt.container import record, spec_mounts
from minirt.container.record import Record
from minirt.images import store as images
from minirt.images.merged import Pile, look_up, walk

# What every start makes, to mount on it; Docker doesn't show it either.
MADE_FOR_MOUNTS = {*(f"/etc/{name}" for name in spec_mounts.OWN_FILES), spec_mounts.INIT_INSIDE}
ADDED, CHANGED, DELETED = "A", "C", "D"


def differences(one: Record) -> Iterator[tuple[str, str]]:
    """Yield what was added, changed or deleted, and its path; by path, as Docker does."""
    upper = record.directory(one.id) / "upper"
    image = walk(images.find(one.image_id).layers, "/")
    if upper.exists():
        yield from _below(upper, image, "/")


def _below(folder: Path, image: Pile | None, path: str) -> Iterator[tuple[str, str]]:
    with os.scandir(folder) as entries:
        found = sorted((one.name, one.stat(follow_symlinks=False)) for one in entries)
    for name, status in found:
        place = f"{path.rstrip('/')}/{name}"
        old = look_up(image, name) if image else None
        if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
            if old:
                yield DELETED, place
            continue
        if place in MADE_FOR_MOUNTS and not old:
            continue
        inner: list[tuple[str, str]] = []
        if stat.S_ISDIR(status.st_mode):
            pile = old.pile if old and not _is_opaque(folder / name) else None
            inner = list(_below(folder / name, pile or None, place))
            if old and not inner and _says(status) == _says(old.status):
                continue  # Nothing but a place to mount on was made in it.
        yield (CHANGED if old else ADDED), place
        yield from inner


def _says(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_mode, status.st_uid, status.st_gid


def _is_opaque(folder: Path) -> bool:
    """Say whether a folder hides all that the image has in its place."""
    try:
        return os.getxattr(folder, "trusted.overlay.opaque", follow_symlinks=False) == b"y"
    except OSError:
        return False
