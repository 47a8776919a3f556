"""crun's mount option for an idmapped mount with mappings of its own (crun(1)).

    idmap=uids=0-1000-10#10-2000-1;gids=0-1000-10   first on disk, first on the host, how many
    idmap=uids=@0-5-1;gids=@0-5-1                   first on disk, first in the container, how many

With "@" the second number is an id of the container's user namespace. "ridmap=" also maps what is
mounted below. podman passes the option on as it was typed (podman-run(1), --volume).
"""

from __future__ import annotations

import re
from dataclasses import replace

from minirt.errors import in_quotes
from minirt.kernel.user_namespaces import HIGHEST, IdMapping
from minirt.runtime.document import Place
from minirt.runtime.spec import Mount

_OPTION = re.compile(r"(r?idmap)=(.*)")
_TRIPLET = re.compile(r"(\d+)-(\d+)-(\d+)", re.ASCII)
_KINDS = ("uids", "gids")

Mappings = tuple[IdMapping, ...]


def obeyed(one: Mount, place: Place, uids: Mappings, gids: Mappings) -> Mount:
    """Return the mount with the mappings of its option, if it has that option.

    ``uids`` and ``gids`` are those of the container's user namespace. Raises InvalidRequest.
    """
    for number, text in enumerate(one.options):
        if not (found := _OPTION.fullmatch(text)):
            continue
        here = Place(text, number, place.get("options"))
        plain = (*one.options[:number], found[1], *one.options[number + 1 :])
        lists = dict(part.partition("=")[::2] for part in found[2].split(";") if part)
        if unknown := [name for name in lists if name not in _KINDS]:
            here.refuse(f"has {in_quotes(unknown[0])}, which is neither uids nor gids")
        read = (_read(lists.get(k, ""), here, c) for k, c in zip(_KINDS, (uids, gids), strict=True))
        uid_mappings, gid_mappings = read
        return replace(one, options=plain, uid_mappings=uid_mappings, gid_mappings=gid_mappings)
    return one


def _read(text: str, place: Place, container: Mappings) -> Mappings:
    """Read triplets; ``container`` are the mappings that "@" means."""
    relative = text.startswith("@")
    if relative and not container:
        place.refuse("has '@', and the config has no mappings of a user namespace")
    lines: list[IdMapping] = []
    for word in text.removeprefix("@").split("#") if text else ():
        found = _TRIPLET.fullmatch(word)
        if not found:
            place.refuse(f"has {in_quotes(word)}, which is not of the form 0-1000-10")
        line = IdMapping(*map(int, found.groups()))
        if not line.size or max(line.inside, line.host) + line.size - 1 > HIGHEST:
            place.refuse(
                f"has {in_quotes(word)}, which goes beyond the last id, {HIGHEST}, or is empty"
            )
        lines += _outside(line, container) if relative else [line]
    if text and not lines:
        place.refuse("maps ids that the container's user namespace does not have")
    return tuple(lines)


def _outside(line: IdMapping, container: Mappings) -> list[IdMapping]:
    """Translate the second number, of the container, to the host; a range may come in pieces."""
    pieces = []
    for part in container:
        first = max(line.host, part.inside)
        size = min(line.host + line.size, part.inside + part.size) - first
        if size > 0:
            on_disk, on_host = line.inside + first - line.host, part.host + first - part.inside
            pieces.append(IdMapping(on_disk, on_host, size))
    return pieces
