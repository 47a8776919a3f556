"""Layers: each unpacked once, whoever brings it, and shared read-only by all images."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path

from minirt.errors import Conflict, InvalidRequest, NotFound
from minirt.images import layout
from minirt.images.streams import CHUNK, Counted, Unpacked
from minirt.images.unpack import OPAQUE, unpack
from minirt.state import new_id, read_json, write_json

_LARGEST = 64 << 30  # bytes of one layer's files
_SHARE_OF_FREE_SPACE = 0.9


@dataclass(frozen=True, slots=True)
class Facts:
    """What was met while a layer was unpacked."""

    size: int  # bytes of its files
    left_out: int  # device nodes below /dev


def unpack_blob(
    blob: Path, place: Path, *, diff_id: str = "", allow_devices: bool = False
) -> tuple[str, Facts]:
    """Unpack a layer into the scratch folder ``place``, unless the store has it.

    With ``diff_id`` only a tar of that digest will do. Returns the diff id. Raises
    InvalidRequest, Conflict, KernelRefused.
    """
    if diff_id and (known := _known(diff_id, place, allow_devices=allow_devices)):
        return diff_id, known
    target = place / "layers" / new_id()[:12]
    target.mkdir(mode=0o700)
    limit = _limit(place)
    with blob.open("rb") as file:
        tar = Counted(Unpacked(file, limit))
        done = unpack(tar, target, limit, allow_devices=allow_devices)
        while tar.read(CHUNK):
            pass  # The digest is that of the whole stream, with what follows the tar's end.
    if diff_id and tar.digest != diff_id:
        raise InvalidRequest(
            "A layer of the image is damaged", f"it is {tar.digest}, not {diff_id}"
        )
    facts = Facts(done.size, done.left_out)
    if known := _known(tar.digest, place, allow_devices=allow_devices):
        return tar.digest, known
    final = layout.layer(tar.digest, place)
    target.rename(final)
    write_json(layout.facts_of(final), asdict(facts), durable=False)
    return tar.digest, facts


def move_in(place: Path) -> None:
    """Move the layers of a scratch folder into the store; only under its lock."""
    for made in (place / "layers").iterdir():
        if made.suffix or len(made.name) != 64:
            continue  # the facts go with their folder
        final = layout.home() / "layers" / made.name
        if not final.exists():
            layout.facts_of(made).replace(layout.facts_of(final))
            made.rename(final)


def facts(diff_id: str) -> Facts:
    """Return what is known of a layer in the store. Raises FileNotFoundError."""
    return Facts(**read_json(layout.facts_of(layout.layer(diff_id))))


def stack(diff_ids: list[str]) -> tuple[Path, ...]:
    """Return the folders of an image's layers as overlayfs wants them, the topmost first.

    overlayfs refuses a folder that is named twice. Of two equal layers the lower one can go:
    whatever it has or hides, the upper one has or hides too. And what lies under a layer
    whose root is opaque is never seen. Raises NotFound.
    """
    folders: list[Path] = []
    for diff_id in reversed(diff_ids):
        folder = layout.layer(diff_id)
        if folder in folders:
            continue
        try:
            attributes = os.listxattr(folder)
        except FileNotFoundError:
            why = f"its layer {diff_id} is missing from {folder.parent}"
            raise NotFound("The image is damaged", why, "Load or import it again.") from None
        folders.append(folder)
        if OPAQUE in attributes:
            break
    return tuple(folders)


def _known(diff_id: str, place: Path, *, allow_devices: bool) -> Facts | None:
    for folder in (layout.layer(diff_id, place), layout.layer(diff_id)):
        if not folder.exists():
            continue
        known = Facts(**read_json(layout.facts_of(folder)))
        if allow_devices and known.left_out:
            why = "it was unpacked without its device nodes before"
            raise Conflict(f"The layer {diff_id} is in use", why, "Remove its images first.")
        return known
    return None


def _limit(place: Path) -> int:
    free = os.statvfs(place)
    return min(_LARGEST, int(free.f_bavail * free.f_frsize * _SHARE_OF_FREE_SPACE))
