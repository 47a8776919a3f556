"""A container's own layer, which it writes to, over those of its image."""

from __future__ import annotations

import os
from pathlib import Path

from minirt.container import record
from minirt.container.record import Record
from minirt.runtime.rootfs import Overlay
from minirt.state import made


def over_image(one: Record, layers: tuple[Path, ...]) -> Overlay:
    """Return its own layer, made if it has none yet, over those of its image."""
    folder = record.directory(one.id)
    return Overlay(layers, _upper(folder / "upper", layers[0]), made(folder / "work"))


def _upper(place: Path, topmost: Path) -> Path:
    """Return the container's own layer: its folder is what the root directory looks like."""
    if not place.exists():
        like = topmost.stat()
        made(place)
        os.chown(place, like.st_uid, like.st_gid)
        place.chmod(like.st_mode & 0o7777)
    return place
