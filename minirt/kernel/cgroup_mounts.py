"""Which cgroup hierarchies this machine has, and where (cgroups(7)).

Three worlds exist. Version 2: one tree for all controllers. Version 1: a tree for each
controller, or for several together. Hybrid: trees of version 1 for the controllers, and one
of version 2 beside them, with few or no controllers but with its way to freeze and to kill.
They need no names here: a machine is the list of its hierarchies, and each controller is
looked up in that list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from minirt.kernel import mount_info

# The controllers of version 1 (Documentation/admin-guide/cgroup-v1). What else stands in the
# options of such a mount ("rw", "xattr", "release_agent=…") names no controller.
_VERSION_1 = {
    *("blkio", "cpu", "cpuacct", "cpuset", "devices", "freezer", "hugetlb", "memory", "misc"),
    *("net_cls", "net_prio", "perf_event", "pids", "rdma"),
}
_OCTAL = re.compile(r"\\([0-7]{3})")  # how mountinfo writes a blank


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """One tree of groups, as it is mounted here."""

    version: int  # 1 or 2
    controllers: frozenset[str]  # of version 1 also "name=systemd", which controls nothing
    top: Path  # inside a cgroup namespace: the group that it shows as the root


def hierarchies() -> list[Hierarchy]:
    """Return the hierarchies that are mounted, in the order of their mounting."""
    found = [_with_controllers(one) for one in parse(mount_info.lines())]
    return [one for one in found if one is not None]


def parse(mountinfo: Iterable[str]) -> list[Hierarchy]:
    """Read the lines of /proc/self/mountinfo (proc_pid_mountinfo(5)).

    A hierarchy that is mounted several times counts once: where its root is seen whole, or
    else at the shortest path. Version 2 still has no controllers here: a file names them.
    """
    seen: dict[str, tuple[bool, int, Hierarchy]] = {}
    for line in mountinfo:
        head, _, tail = line.partition(" - ")
        kind, _, options = tail.split(" ", 2)
        if kind not in ("cgroup", "cgroup2"):
            continue
        _, _, device, root, mountpoint, *_ = head.split(" ")
        names = set(options.split(","))
        controllers = names & _VERSION_1 | {name for name in names if name.startswith("name=")}
        top = Path(_OCTAL.sub(lambda match: chr(int(match[1], 8)), mountpoint))
        one = Hierarchy(2, frozenset(), top)
        if kind == "cgroup":
            one = Hierarchy(1, frozenset(controllers), top)
        candidate = (root != "/", len(mountpoint), one)
        if device not in seen or candidate[:2] < seen[device][:2]:
            seen[device] = candidate
    return [one for _, _, one in seen.values()]


def _with_controllers(one: Hierarchy) -> Hierarchy | None:
    """Let a tree of version 2 say what it can control; None if it can't be reached."""
    if one.version == 1:
        return one
    try:
        offered = (one.top / "cgroup.controllers").read_text().split()
    except OSError:
        return None  # Something is mounted over it.
    return Hierarchy(2, frozenset(offered), one.top)
