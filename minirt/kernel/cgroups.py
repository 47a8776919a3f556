"""Groups of processes: made, entered, emptied, removed (cgroups(7)).

A group has a folder of the same name in each hierarchy of the machine: also where it is given
no limit, so that a process that leaves its caller's groups leaves all of them. All groups
lie below one, named by MINIRT_CGROUP, so that they are easily told from those of others.

What an entry costs: writing a PID into cgroup.procs makes the kernel wait for all processors
(5-13 ms). A process without threads that moves *itself* by a "0" in version 1's ``tasks``
makes nobody wait, and in version 2 a process may be born inside (clone3(2)). So the cheap way
in is :meth:`Cgroup.clone_fd` and then, in the child, :meth:`Cgroup.enter_version_1`: 1 ms.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from minirt.kernel import cgroup_removal, cgroup_signals, cgroup_stats
from minirt.kernel.cgroup_files import read, write, write_to_all
from minirt.kernel.cgroup_mounts import Hierarchy, hierarchies
from minirt.kernel.steps import Shell, step

# What version 2 is asked to count and to limit in our groups, as far as it can.
_WANTED = ("cpu", "cpuset", "io", "memory", "pids")


def base_name() -> str:
    """Return the name of the group that holds all of ours."""
    return os.environ.get("MINIRT_CGROUP") or "minirt"


@dataclass(frozen=True, slots=True)
class Folder:
    """The place of a group in one hierarchy."""

    hierarchy: Hierarchy
    path: Path


@dataclass(frozen=True, slots=True)
class Cgroup:
    """One group: a folder in each hierarchy."""

    name: str  # below the group of all our groups; with a "/" before it: below the root
    folders: tuple[Folder, ...]

    def make(self, version: int, *, untold: bool = False) -> None:
        """Make its folders in the hierarchies of this version; those that exist stay as they are.

        Version 2 is what a process is born in; version 1 it enters later.
        """
        with nullcontext() if untold else self.told(version):
            for one in self._of(version):
                _make(one)

    def told(self, version: int) -> AbstractContextManager[None]:
        """Tell the body as the making of its folders."""
        folders = [one.path for one in self._of(version)]
        return step("make the cgroup", "mkdir", "-p", *folders) if folders else nullcontext()

    def _of(self, version: int) -> list[Folder]:
        return [one for one in self.folders if one.hierarchy.version == version]

    def folder(self, controller: str) -> Folder | None:
        """Return the folder in which ``controller`` rules, None if this machine lacks it."""
        fitting = (one for one in self.folders if controller in one.hierarchy.controllers)
        return next(fitting, None)

    @property
    def unified(self) -> Path | None:
        """The folder in the tree of version 2, if there is such a tree."""
        return next((one.path for one in self.folders if one.hierarchy.version == 2), None)

    def add(self, pid: int, told: str | Shell = "") -> None:
        """Move the process ``pid`` in; ``told`` is how the story calls it: ``Shell("$INIT")``."""
        files = [one.path / "cgroup.procs" for one in self.folders]
        write_to_all("put it into its cgroup", str(pid), files, told)

    def enter(self) -> None:
        """Move the calling process in. It must have no other threads: they would stay behind."""
        own = {1: "tasks", 2: "cgroup.procs"}
        files = [one.path / own[one.hierarchy.version] for one in self.folders]
        write_to_all("enter the cgroup", "0", files, Shell("$$"))

    def clone_fd(self) -> int | None:
        """Open the folder of version 2 for CLONE_INTO_CGROUP of clone3(2); the caller closes it.

        None if this machine has no version 2. The child then calls :meth:`enter_version_1`.
        """
        if self.unified is None:
            return None
        return os.open(self.unified, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def enter_version_1(self) -> None:
        """Move the calling process in wherever it can't be born inside. It has no threads."""
        files = [one.path / "tasks" for one in self._of(1)]
        if files:
            write_to_all("enter the cgroup", "0", files, Shell("$$"))

    def pids(self) -> set[int]:
        """Return the processes in it and below, numbered as the caller's PID namespace does."""
        return cgroup_signals.pids(self._processes())

    def freeze(self) -> None:
        """Stop every process in it, and return when they stand. Raises OSError (ENOTSUP)."""
        cgroup_signals.freeze(self._freezer())

    def thaw(self) -> None:
        """Let them go on."""
        cgroup_signals.thaw(self._freezer())

    def is_frozen(self) -> bool:
        """Say whether all of its processes stand; a group that is not there has none."""
        freezer = self.folder("freezer")
        places = (freezer.path if freezer else None, self.unified)  # Either may have been used.
        return any(cgroup_signals.is_frozen(place) for place in places if place)

    def frozen_above(self) -> Path | None:
        """Return the group above whose freezer of version 1 keeps its processes from dying."""
        freezer = self.folder("freezer")
        return cgroup_signals.frozen_above(freezer.path) if freezer else None

    def kill(self) -> None:
        """Kill every process in it and below, also what it forks meanwhile; don't wait."""
        freezer = self.folder("freezer")
        cgroup_signals.kill(self._processes(), freezer.path if freezer else None)

    def stats(self) -> cgroup_stats.Stats:
        """Count what it uses."""
        return cgroup_stats.stats(self._place)

    def oom_kills(self) -> int:
        """Return how many of its processes were killed for want of memory."""
        return cgroup_stats.oom_kills(self._place("memory"))

    def end(self) -> None:
        """Remove the group, and kill before that whatever is still in it; no error if it has gone.

        Mostly it is empty: to try costs less than to look for processes.
        """
        if not self._each(cgroup_removal.try_to):
            self.kill()
            self.remove()

    def remove(self) -> None:
        """Remove the group and what was made below it; no error if it has gone.

        Its processes must be dead; the kernel may need some more milliseconds to notice.
        """
        self._each(cgroup_removal.remove)

    def _each(self, remove: Callable[[Path], bool]) -> bool:
        """Remove what there is of its folders; say whether all have gone."""
        there = [one.path for one in self.folders if one.path.exists()]
        if not there:
            return True
        with step("remove the cgroup", "rmdir", *there):
            return all([remove(path) for path in there])  # Each is tried.

    def _place(self, controller: str) -> tuple[int, Path] | None:
        one = self.folder(controller)
        return (one.hierarchy.version, one.path) if one else None

    def _processes(self) -> Path:
        """Return one folder that knows the processes: all do."""
        freezer = self.folder("freezer")
        return self.unified or (freezer.path if freezer else self.folders[0].path)

    def _freezer(self) -> Path:
        """Return the folder that can freeze: version 2, since its frozen can be killed."""
        if self.unified and (self.unified / "cgroup.freeze").exists():
            return self.unified
        freezer = self.folder("freezer")
        if freezer is None:
            raise OSError(errno.ENOTSUP, "no cgroup of this machine can freeze")
        return freezer.path


def make(name: str) -> Cgroup:
    """Make the group ``name`` below the group of all ours; one that exists is taken as it is."""
    group = find(name)
    for version in (2, 1):
        group.make(version)
    return group


def find(name: str) -> Cgroup:
    """Name the group ``name`` without making it.

    A name with a "/" before it is a path from the top of the hierarchies. Raises ValueError
    for a path that leaves it.
    """
    if not name.strip("/") or ".." in name.split("/") or "\0" in name:
        raise ValueError(f"{name!r} names no group")
    path, found = path_of(name).removeprefix("/"), mounted()
    return Cgroup(name, tuple(Folder(one, one.top / path) for one in found))


@cache
def mounted() -> tuple[Hierarchy, ...]:
    """Return the hierarchies, looked up once: they are mounted when the machine starts."""
    return tuple(hierarchies())


def path_of(name: str) -> str:
    """Return the path of a group from the top of the hierarchies, as a name with "/" before it."""
    return name if name.startswith("/") else f"/{base_name()}/{name}"


def enable(folder: Folder, controllers: tuple[str, ...]) -> None:
    """Let version 2 apply ``controllers`` in ``folder``: its ancestors must pass them on.

    A controller that an ancestor refuses stays off (cgroups(7), "no internal processes").
    """
    top = folder.hierarchy.top
    steps = folder.path.relative_to(top).parts[:-1]
    for depth in range(len(steps) + 1):
        file = top.joinpath(*steps[:depth]) / "cgroup.subtree_control"
        missing = set(controllers) & folder.hierarchy.controllers - set(read(file).split())
        for controller in sorted(missing):
            try:
                write("let controllers reach the groups below", file, f"+{controller}")
            except OSError:
                continue


def _make(folder: Folder) -> None:
    """Make one folder, and what it needs before a process may enter."""
    umask = os.umask(0o022)  # The caller's may close it to a root of fewer rights, who enters it.
    try:
        folder.path.mkdir(mode=0o755, parents=True, exist_ok=True)
    finally:
        os.umask(umask)
    if folder.hierarchy.version == 2:
        if "memory" in folder.hierarchy.controllers:  # of a hybrid it has none that we need
            enable(folder, _WANTED)
    elif "cpuset" in folder.hierarchy.controllers:
        _inherit_cpuset(folder)


def _inherit_cpuset(folder: Folder) -> None:
    """Fill a cpuset of version 1: a group without processors and memory admits nobody (ENOSPC).

    Told to do so, the kernel copies both into each new group below: that saves the writes.
    """
    if read(folder.path / "cpuset.cpus") and read(folder.path / "cpuset.mems"):
        return
    ancestors = [one for one in folder.path.parents if one.is_relative_to(folder.hierarchy.top)]
    for group in [*reversed(ancestors[:-1]), folder.path]:
        for file in ("cpuset.cpus", "cpuset.mems"):
            if not read(group / file):
                write("give the cgroup its processors", group / file, read(group.parent / file))
        write("hand them to the groups below", group / "cgroup.clone_children", 1)
