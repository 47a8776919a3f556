"""The maps of ids in a config.json (config-linux.md, "User namespace mappings").

What the kernel would refuse when the container is half made is refused here, by its place in
the document: overlaps, ranges that end beyond the last id, more lines than there may be.
"""

from __future__ import annotations

from minirt.errors import InvalidRequest
from minirt.kernel.namespaces import Namespace
from minirt.kernel.user_namespaces import (
    HIGHEST,
    LONGEST_MAP,
    MOST_LINES,
    IdMapping,
    outside_of,
    text_of,
)
from minirt.runtime.document import Place
from minirt.runtime.spec import Mount, Spec

_CANNOT = "This config.json cannot be obeyed"


def mappings(place: Place) -> tuple[IdMapping, ...]:
    """Read a list of mappings; an absent one is empty."""
    found: list[IdMapping] = []
    for number, one in enumerate(place.items()):
        line = _mapping(one)
        for before, other in enumerate(found):
            if _overlap(line.inside, other.inside, line, other):
                one.refuse(f"maps a containerID that {place.path}[{before}] maps too")
            if _overlap(line.host, other.host, line, other):
                one.refuse(f"maps a hostID that {place.path}[{before}] maps too")
        if number >= MOST_LINES:
            place.refuse(f"has more than {MOST_LINES} lines, which is all that the kernel takes")
        found.append(line)
    if len(text_of(found)) > LONGEST_MAP:
        place.refuse("is longer than the kernel takes, a page of text")
    return tuple(found)


def _mapping(place: Place) -> IdMapping:
    inside = place.get("containerID").number(high=HIGHEST)
    host = place.get("hostID").number(high=HIGHEST)
    size = place.get("size").number(low=1, high=HIGHEST + 1)
    for name, first in (("containerID", inside), ("hostID", host)):
        if first + size - 1 > HIGHEST:
            place.refuse(f"goes beyond the last id, {HIGHEST}, from its {name} on")
    return IdMapping(inside, host, size)


def _overlap(first: int, other_first: int, line: IdMapping, other: IdMapping) -> bool:
    return first < other_first + other.size and other_first < first + line.size


def check(spec: Spec) -> None:
    """Refuse maps that are right line by line, and wrong as a whole. Raises InvalidRequest."""
    path = spec.namespaces.get(Namespace.USER)
    both = {"uidMappings": spec.uid_mappings, "gidMappings": spec.gid_mappings}
    if path is None and any(both.values()):
        name = next(name for name, found in both.items() if found)
        raise InvalidRequest(_CANNOT, f"linux.{name} is there, and no user namespace")
    if path == "":
        for name, found in both.items():
            if not found:
                raise InvalidRequest(_CANNOT, f"a new user namespace needs linux.{name}")
            if outside_of(0, found) is None:
                why = f"linux.{name} maps no containerID 0, and init must be root inside"
                raise InvalidRequest(_CANNOT, why)
    for number, one in enumerate(spec.mounts):
        _check_mount(f"mounts[{number}]", one, has_ids=path is not None)


def _check_mount(place: str, one: Mount, *, has_ids: bool) -> None:
    """Refuse mappings without their pair, or of nothing; "idmap" alone means the container's."""
    if bool(one.uid_mappings) != bool(one.gid_mappings):
        lacking = "gidMappings" if one.uid_mappings else "uidMappings"
        raise InvalidRequest(_CANNOT, f"{place} has no {lacking} beside the other mappings")
    if not one.is_idmapped:
        return
    if not one.is_bind:
        raise InvalidRequest(_CANNOT, f"{place} maps ids, which only a bind can")
    if not one.uid_mappings and not has_ids:
        why = f"{place}.options has 'idmap', and neither mappings nor a user namespace"
        raise InvalidRequest(_CANNOT, why)
