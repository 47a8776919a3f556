"""Stop, continue and kill whole cgroups.

Version 2 does each by one write. Version 1 has only a freezer, and its frozen processes don't
die before they are thawed: there killing means to freeze, so that nobody can fork away, to
signal all, and to thaw.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from minirt.kernel import cgroup_tree
from minirt.kernel.cgroup_files import GONE, fields, read, write

_PATIENCE = 5.0  # seconds; processes that wait for a disk freeze late
_TRIES = 10
_FREEZE = "freeze the cgroup"
_THAW = "thaw the cgroup"


def pids(folder: Path) -> set[int]:
    """Return the processes of a group and of those below it."""
    found: set[int] = set()
    for _ in range(_TRIES):
        try:
            for group in cgroup_tree.walk(folder):
                found.update(map(int, cgroup_tree.read(group, "cgroup.procs").split()))
            break
        except OSError as error:  # A group was removed meanwhile.
            if error.errno not in (*GONE, errno.ESTALE):
                raise
    return found - {0}  # 0: a process that the caller's PID namespace doesn't show


def freeze(folder: Path) -> None:
    """Stop every process of the group; return when all stand.

    Raises TimeoutError; OSError with one of the numbers in GONE if the group has gone.
    """
    if is_version_2(folder):
        write(_FREEZE, folder / "cgroup.freeze", 1)
    else:
        write(_FREEZE, folder / "freezer.state", "FROZEN")
    deadline = time.monotonic() + _PATIENCE
    while not is_frozen(folder):
        folder.stat()
        if time.monotonic() > deadline:
            raise TimeoutError(errno.ETIMEDOUT, "its processes don't freeze", str(folder))
        time.sleep(0.0005)


def thaw(folder: Path) -> None:
    """Let every process of the group go on; a group that has gone has none.

    It may go just now: in version 2 what is frozen can be killed.
    """
    with _unless_gone():
        if is_version_2(folder):
            write(_THAW, folder / "cgroup.freeze", 0)
        else:
            write(_THAW, folder / "freezer.state", "THAWED")


def is_frozen(folder: Path) -> bool:
    """Say whether every process of the group stands."""
    if is_version_2(folder):
        return fields(folder / "cgroup.events").get("frozen") == 1
    return read(folder / "freezer.state") == "FROZEN"


def frozen_above(freezer: Path) -> Path | None:
    """Return the group that keeps a group below it frozen; None if there is none.

    Of version 1 alone: only there a frozen process does not die before it is thawed.
    """
    if read(freezer / "freezer.parent_freezing") != "1":
        return None
    above = (one for one in freezer.parents if read(one / "freezer.self_freezing") == "1")
    return next(above, freezer.parent)


def kill(folder: Path, freezer: Path | None) -> None:
    """Kill every process of the group and below; ``freezer`` is its folder of version 1.

    If a group above is frozen there they die as soon as that is thawed.
    """
    if (folder / "cgroup.kill").exists():
        with _unless_gone():
            write("kill all of the cgroup", folder / "cgroup.kill", 1)
        if freezer and read(freezer / "freezer.state") not in ("", "THAWED"):
            thaw(freezer)
        return
    deadline = time.monotonic() + _PATIENCE
    while alive := pids(folder):
        if time.monotonic() > deadline:
            raise TimeoutError(errno.ETIMEDOUT, "its processes don't die", str(folder))
        _kill_once(alive if freezer is None else set(), folder, freezer)
        if freezer and frozen_above(freezer):
            return
        time.sleep(0.001)


def _kill_once(known: set[int], folder: Path, freezer: Path | None) -> None:
    """Signal those who are there; frozen, none can fork away, nor its number change hands."""
    if freezer is not None:
        with contextlib.suppress(TimeoutError), _unless_gone():  # The next round gets the others.
            freeze(freezer)
        known = pids(folder)
    for pid in known:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if freezer is not None:
        thaw(freezer)


@contextlib.contextmanager
def _unless_gone() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in GONE:
            raise


def is_version_2(folder: Path) -> bool:
    """Say whether the folder lies in a hierarchy of version 2."""
    return (folder / "cgroup.freeze").exists()
