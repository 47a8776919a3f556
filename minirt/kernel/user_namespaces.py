"""User namespaces: ids that mean others outside (user_namespaces(7)).

A process in a new one has every capability over what belongs to it, and no id at all until
somebody outside writes the maps. Until it takes an id inside, it still is, to files of the
host, who it was.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from minirt.kernel import clone, libc, processes
from minirt.kernel.namespaces import Namespace
from minirt.kernel.steps import Shell, step

HIGHEST = (1 << 32) - 2  # (uid_t) -1 is nobody's
MOST_LINES = 340  # UID_GID_MAP_MAX_EXTENTS of include/linux/user_namespace.h
LONGEST_MAP = 4095  # bytes: one write, shorter than a page
_PR_SET_SECUREBITS, _NO_SETUID_FIXUP = 28, 1 << 2  # prctl(2), include/uapi/linux/securebits.h


@dataclass(frozen=True, slots=True)
class IdMapping:
    """One line of a map: ``size`` ids from ``inside`` on are those from ``host`` on."""

    inside: int
    host: int
    size: int

    def __str__(self) -> str:
        return f"{self.inside} {self.host} {self.size}"


Map = Sequence[IdMapping]


def outside_of(one: int, mapped: Map) -> int | None:
    """Return what an id of the inside is outside, None if it is nothing there."""
    for line in mapped:
        if line.inside <= one < line.inside + line.size:
            return line.host + one - line.inside
    return None


def text_of(mapped: Map) -> str:
    """Return a map as the kernel reads it."""
    return "".join(f"{line}\n" for line in mapped)


def write_maps(pid: int, uids: Map, gids: Map) -> None:
    """Map the ids of the new user namespace of ``pid``, as /proc counts. Raises OSError."""
    for name, mapped in (("uid_map", uids), ("gid_map", gids)):
        text = text_of(mapped)
        words = ("printf", text.replace("\n", "\\n"), Shell(f">/proc/$INIT/{name}"))
        with step("map ids to others outside", *words):
            fd = os.open(f"/proc/{pid}/{name}", os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(fd, text.encode())
            finally:
                os.close(fd)


def read_map(pid: int, name: str) -> list[IdMapping]:
    """Read the "uid_map" or "gid_map" of a process, as seen from here."""
    lines = Path(f"/proc/{pid}/{name}").read_text().splitlines()
    return [IdMapping(*map(int, line.split())) for line in lines]


def root_of(pid: int) -> tuple[int, int] | None:
    """Return which user and group the root of a process's user namespace is outside."""
    uid = outside_of(0, read_map(pid, "uid_map"))
    gid = outside_of(0, read_map(pid, "gid_map"))
    return None if uid is None or gid is None else (uid, gid)


def open_of(pid: int) -> int:
    """Open the user namespace of a process."""
    return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)


@dataclass(frozen=True, slots=True)
class Ids:
    """A user namespace that is held open, and who its root is outside."""

    fd: int
    uid: int
    gid: int
    uids: Map
    gids: Map

    @classmethod
    def of(cls, pid: int) -> Ids:
        """Hold the user namespace of a process, which has a root. Raises OSError."""
        root = root_of(pid)
        assert root is not None, "a process without root there was not let in"
        return cls(open_of(pid), *root, read_map(pid, "uid_map"), read_map(pid, "gid_map"))

    def outside(self, uid: int, gid: int) -> tuple[int, int] | None:
        """Return which user and group those of the inside are; None if one is not mapped."""
        user, group = outside_of(uid, self.uids), outside_of(gid, self.gids)
        return None if user is None or group is None else (user, group)


@contextmanager
def mapped(uids: Map, gids: Map) -> Iterator[int]:
    """Hold a user namespace with these maps open, in which nobody lives: for idmapped mounts."""
    read, write = os.pipe()

    def main() -> int:
        os.close(write)
        os.read(read, 1)
        return 0

    try:
        child = clone.clone(main, Namespace.USER)
        pid = processes.pid_as_seen_from_proc(child.pidfd)
        try:
            write_maps(pid, uids, gids)
            fd = open_of(pid)
        finally:
            processes.kill_by_pidfd(child.pidfd)
    finally:
        os.close(read)
        os.close(write)
    try:
        yield fd
    finally:
        os.close(fd)


def become_root(*, keeps_groups: bool = False) -> None:
    """Be root of the user namespace that this process is in, without supplementary groups.

    With ``keeps_groups`` those of now stay. Raises OSError if the namespace has no root.
    """
    groups = "--keep-groups" if keeps_groups else "--clear-groups"
    with step("become root of the user namespace", "setpriv", "--reuid=0", "--regid=0",
              groups, Shell('"$@"')):  # fmt: skip
        libc.become(0, 0, None if keeps_groups else [])


def own_files_as(uid: int, gid: int) -> None:
    """Let new files of this process be another's, without giving up any capability.

    Only the ids for file systems change (setfsuid(2)): what an idmapped mount can't write down
    is refused there (EOVERFLOW), the root of the host for one.
    """
    libc.prctl(_PR_SET_SECUREBITS, _NO_SETUID_FIXUP)
    libc.syscall("setfsgid", gid)
    libc.syscall("setfsuid", uid)
