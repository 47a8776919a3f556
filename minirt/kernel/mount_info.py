"""Where a path is mounted, and whether mounts travel there (proc_pid_mountinfo(5))."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_OCTAL = re.compile(r"\\([0-7]{3})")  # how the kernel writes a blank


@dataclass(frozen=True, slots=True)
class MountPoint:
    """A mount: its place, and whether events travel from it (shared) or to it (master)."""

    place: str
    shared: bool
    master: bool


def around(path: str, text: str | None = None) -> MountPoint:
    """Return the mount in which an absolute path without symlinks lies.

    ``text`` is what to read instead of /proc/self/mountinfo.
    """
    best = MountPoint("/", shared=False, master=False)
    for place, optional, _ in _lines(text):
        if PurePosixPath(path).is_relative_to(place) and len(place) >= len(best.place):
            kinds = {word.partition(":")[0] for word in optional}
            best = MountPoint(place, "shared" in kinds, "master" in kinds)
    return best


def sources_at(path: str, text: str | None = None) -> list[str]:
    """Return the sources of all mounts that are stacked at an absolute path without symlinks."""
    return [source for place, _, source in _lines(text) if place == path]


def lines(text: str | None = None) -> list[str]:
    """Return the lines of /proc/self/mountinfo, or of ``text`` instead.

    Every user can mount by FUSE, at a name that holds a carriage return. For str.splitlines() that
    is the end of a line, and for Path.read_text() too.
    """
    if text is None:
        text = os.fsdecode(Path("/proc/self/mountinfo").read_bytes())
    return text.rstrip("\n").split("\n")


def _lines(text: str | None) -> Iterator[tuple[str, list[str], str]]:
    """Return place, optional fields and source of each mount."""
    for line in lines(text):
        mount, _, filesystem = line.partition(" - ")
        _, _, _, _, place, _, *optional = mount.split(" ")
        yield _plain(place), optional, _plain(filesystem.split(" ")[1])


def _plain(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)
