"""The index of the store: which name stands for which image.

An image has a descriptor for each of its names. Without a name (a newer image took it, or it
never had one) it has a single descriptor that bears none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minirt.images import layout, names

_ID = "minirt.image.id"  # an annotation: one file less to open for each image


def name_of(descriptor: dict[str, Any]) -> str:
    """Return the name that a descriptor gives to its image, or ""."""
    annotations = descriptor.get("annotations") or {}
    return str(annotations.get(layout.REF_NAME) or "")


def id_of(descriptor: dict[str, Any]) -> str:
    """Return the id of the image of a descriptor in the store's index."""
    known = (descriptor.get("annotations") or {}).get(_ID)
    return str(known or layout.read_document(descriptor["digest"])["config"]["digest"])


def named(descriptor: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the descriptor with that name, or without any."""
    annotations = {_ID: id_of(descriptor)}
    if name:
        annotations |= {layout.REF_NAME: name, layout.FULL_NAME: names.parse(name).full}
    plain = {key: descriptor[key] for key in ("mediaType", "digest", "size")}
    return {**plain, "annotations": annotations}


def put(
    index: list[dict[str, Any]], new: Iterable[tuple[dict[str, Any], str]]
) -> list[dict[str, Any]]:
    """Return the index in which each name of ``new`` belongs to its image.

    The image that had the name stays, without it. Takes time in proportion to both lengths: an
    archive can bring thousands of names, and others wait for the lock.
    """
    result = list(index)
    places = {name_of(one): place for place, one in enumerate(result) if name_of(one)}
    ids: dict[str, str] = {}
    for descriptor, name in new:
        digest = descriptor["digest"]
        plain = {key: descriptor[key] for key in ("mediaType", "digest", "size")}
        ids[digest] = ids.get(digest) or id_of(plain)
        if name in places:
            result[places[name]] = named(result[places[name]], "")
        if name:
            places[name] = len(result)
        result.append(named({**plain, "annotations": {_ID: ids[digest]}}, name))
    return _tidy(result)


def _tidy(index: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Drop what says nothing new: nameless descriptors of an image that has a name, and copies."""
    have_names = {id_of(one) for one in index if name_of(one)}
    tidy: dict[tuple[str, str], dict[str, Any]] = {}
    for one in index:
        if name_of(one) or id_of(one) not in have_names:
            tidy.setdefault((id_of(one), name_of(one)), one)
    return list(tidy.values())
