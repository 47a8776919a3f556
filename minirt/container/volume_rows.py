"""Volumes as ``volume ls`` and ``volume inspect`` print them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minirt.container import lifecycle, volumes
from minirt.container.templates.values import Fields, OpenMap
from minirt.container.volumes import Volume
from minirt.errors import InvalidRequest

HEADERS = {
    "Name": "VOLUME NAME",
    "Driver": "DRIVER",
    "Scope": "SCOPE",
    "Mountpoint": "MOUNTPOINT",
    "Labels": "LABELS",
    "Links": "LINKS",
    "Size": "SIZE",
}
COLUMNS = ("Driver", "Name")
KEYS = ("name", "label", "dangling", "driver")


class Row(Fields):
    """A volume in a list."""

    go_type = "*formatter.volumeContext"


def row(volume: Volume) -> Row:
    """Return the fields of a volume."""
    fields = Row(
        Name=volume.name,
        Driver="local",
        Scope="local",
        Mountpoint=str(volume.data),
        Labels=",".join(f"{key}={value}" for key, value in volume.labels.items()),
        Links="N/A",
        Size="N/A",
    )
    fields.labels = volume.labels
    return fields


def document(volume: Volume) -> dict[str, Any]:
    """Return what ``volume inspect`` prints."""
    return {
        "CreatedAt": volume.created,
        "Driver": "local",
        "Labels": OpenMap(volume.labels),
        "Mountpoint": str(volume.data),
        "Name": volume.name,
        "Options": OpenMap(),
        "Scope": "local",
    }


def kept(every: Iterable[Volume], filters: Iterable[str]) -> list[Volume]:
    """Return the volumes that pass the filters: of one key any, of every key one.

    Raises InvalidRequest.
    """
    wanted: dict[str, list[str]] = {}
    for text in filters:
        key, equals, value = text.partition("=")
        if not equals or key not in KEYS:
            raise InvalidRequest(f"Invalid filter '{text}'", "", f"There are: {', '.join(KEYS)}.")
        wanted.setdefault(key, []).append(value)
    for value in wanted.get("dangling", []):
        if value.lower() not in ("1", "true", "0", "false"):
            raise InvalidRequest(f"Invalid filter 'dangling={value}'", "it is true or false")
    records = lifecycle.all_records() if "dangling" in wanted else []
    used = {mount.name for one in records for mount in one.mounts}
    return [
        one
        for one in every
        if all(any(_passes(one, key, v, used) for v in values) for key, values in wanted.items())
    ]


def _passes(volume: Volume, key: str, value: str, used: set[str]) -> bool:
    if key == "name":
        return value in volume.name
    if key == "driver":
        return value == "local"
    if key == "dangling":
        return (volume.name not in used) == (value.lower() in ("1", "true"))
    name, equals, wanted = value.partition("=")
    return name in volume.labels and (not equals or volume.labels[name] == wanted)


def unused() -> list[Volume]:
    """Return the volumes that no container has."""
    return kept(volumes.all_volumes(), ["dangling=true"])
