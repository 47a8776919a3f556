"""Layers: each unpacked once, whoever brings it, and shared read-only by all images."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

from minirt.errors import Conflict, InvalidRequest
from minirt.images import layout
from minirt.images.stack import Facts
from minirt.images.streams import CHUNK, Counted, Unpacked
from minirt.images.unpack import unpack
from minirt.state import new_id, write_json

_LARGEST = 64 << 30  # bytes of one layer's files
_SHARE_OF_FREE_SPACE = 0.9


def unpack_blob(
    blob: Path, place: Path, *, diff_id: str = "", allow_devices: bool = False
) -> tuple[str, Facts]:
    """Unpack a layer into the scratch folder ``place``, unless the store has it.

    With ``diff_id`` only a tar of that digest will do. Returns the diff id. Raises
    InvalidRequest, Conflict, KernelRefused.
    """
    known = _known(diff_id, place, allow_devices=allow_devices) if diff_id else None
    target = place / "layers" / new_id()[:12]
    limit = _limit(place)
    facts = known
    with blob.open("rb") as file:
        tar = Counted(Unpacked(file, limit))
        if facts is None:
            target.mkdir(mode=0o700)
            done = unpack(tar, target, limit, allow_devices=allow_devices)
            facts = Facts(done.size, done.left_out)
        while tar.read(CHUNK):
            pass  # The digest is that of the whole stream, with what follows the tar's end.
    if diff_id and tar.digest != diff_id:
        why = f"it is {tar.digest}, not {diff_id}"
        raise InvalidRequest("A layer of the image is damaged", why)
    known = known or _known(tar.digest, place, allow_devices=allow_devices)
    if known:
        return tar.digest, known
    final = layout.layer(tar.digest, place)
    target.rename(final)
    write_json(layout.facts_of(final), asdict(facts), durable=False)
    return tar.digest, facts


def move_in(place: Path) -> bool:
    """Move the layers of a scratch folder into the store; say whether one is new there.

    Only under the store's lock.
    """
    is_new = False
    for made in (place / "layers").iterdir():
        if made.suffix or len(made.name) != 64:
            continue  # the facts go with their folder
        final = layout.home() / "layers" / made.name
        if not final.exists():
            # In this order: facts without a folder mean nothing, a folder has its facts.
            layout.facts_of(made).replace(layout.facts_of(final))
            made.rename(final)
            is_new = True
    return is_new


def _known(diff_id: str, place: Path, *, allow_devices: bool) -> Facts | None:
    for folder in (layout.layer(diff_id, place), layout.layer(diff_id)):
        if not folder.exists():
            continue  # Of a layer that was being moved or removed the facts alone may be left.
        try:
            known = Facts(**layout.read_facts(folder))
        except FileNotFoundError:
            continue
        if allow_devices and known.left_out:
            why = "it was unpacked without its device nodes before"
            raise Conflict(f"The layer {diff_id} is in use", why, "Remove its images first.")
        return known
    return None


def _limit(place: Path) -> int:
    free = os.statvfs(place)
    return min(_LARGEST, int(free.f_bavail * free.f_frsize * _SHARE_OF_FREE_SPACE))
