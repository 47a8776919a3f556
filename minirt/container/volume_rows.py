"""Volumes as ``volume ls`` and ``volume inspect`` print them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from minirt.container import lifecycle, list_filters, volumes
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
    "Availability": "AVAILABILITY",
    "Group": "GROUP",
    "Status": "STATUS",
}
COLUMNS = ("Driver", "Name")
LISTED = ("name", "label", "dangling", "driver")  # the filters of volume ls
PRUNED = ("label", "label!", "all")


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
        Availability="N/A",  # this one and the next two: of volumes in a Swarm cluster
        Group="N/A",
        Status="N/A",
    )
    fields.labels = volume.labels
    return fields


def document(volume: Volume) -> dict[str, Any]:
    """Return what ``volume inspect`` prints."""
    return {
        "CreatedAt": f"{volume.created.partition('.')[0].rstrip('Z')}Z",  # whole seconds
        "Driver": "local",
        "Labels": OpenMap(volume.labels),
        "Mountpoint": str(volume.data),
        "Name": volume.name,
        "Options": OpenMap(),
        "Scope": "local",
    }


def kept(
    every: Iterable[Volume], filters: Iterable[str], known: Sequence[str] = LISTED
) -> list[Volume]:
    """Return the volumes that pass the filters: all labels, and of each other key any.

    ``known`` are the keys that a filter may have. Raises InvalidRequest.
    """
    wanted = list_filters.parse(filters, known)
    for value in wanted.get("dangling", []):
        if value.lower() not in ("1", "true", "0", "false"):
            raise InvalidRequest(f"Invalid filter 'dangling={value}'", "it is true or false")
    records = lifecycle.all_records() if "dangling" in wanted else []
    used = {mount.name for one in records for mount in one.mounts}
    return [
        one
        for one in every
        if all(_passes_any(one, key, values, used) for key, values in wanted.items())
    ]


def _passes_any(volume: Volume, key: str, values: list[str], used: set[str]) -> bool:
    choose = all if list_filters.needs_all(key) else any
    return choose(_passes(volume, key, value, used) for value in values)


def _passes(volume: Volume, key: str, value: str, used: set[str]) -> bool:
    if key == "name":
        return value in volume.name
    if key == "driver":
        return value == "local"
    if key == "dangling":
        return (volume.name not in used) == (value.lower() in ("1", "true"))
    name, equals, wanted = value.partition("=")
    has_label = name in volume.labels and (not equals or volume.labels[name] == wanted)
    return has_label == (key == "label")


def prunable(filters: Iterable[str], *, named: bool) -> list[Volume]:
    """Return the volumes that ``volume prune`` means: no container has them.

    ``named``: also those that were given a name, as with the filter ``all=1``.
    Raises InvalidRequest.
    """
    given = list_filters.parse(filters, PRUNED)
    every = kept(volumes.all_volumes(), ["dangling=true"])
    named = named or any(value.lower() in ("1", "true") for value in given.get("all", []))
    labels = [text for text in filters if not text.startswith("all=")]
    return [one for one in kept(every, labels, PRUNED) if named or one.anonymous]
