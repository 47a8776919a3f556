"""Realtime budgets of the groups above a container's, with cgroup version 1.

A group may have no larger a share of each period than its parent, and the groups in it together no
larger one than it has itself (Documentation/scheduler/sched-rt-group.rst). A new group has none.
runc and crun put a container at the top of the hierarchy, where there is a budget; minirt's
containers lie in a group of minirt. That group, and those below it on the way, get what the groups
in them need together, and no more. Nothing is locked: several containers may come and go at the
same time, and the kernel refuses a budget that no longer fits, so each step is tried again.
"""

from __future__ import annotations

import errno
from fractions import Fraction
from math import ceil
from pathlib import Path

from minirt.kernel import cgroups
from minirt.kernel.cgroup_files import GONE, number, write
from minirt.kernel.cgroups import Folder

_RUNTIME, _PERIOD = "cpu.rt_runtime_us", "cpu.rt_period_us"  # microseconds
_USUAL = 1_000_000  # the period of a new group
_TRIES = 10  # of containers that end at the same time each may still count the others


def extend(folder: Folder, runtime: int, period: int) -> None:
    """Let the groups above ``folder`` have room for its budget, in microseconds.

    Groups above that of minirt are somebody else's and stay as they are. Raises OSError if they
    have too little.
    """
    wanted = Fraction(runtime, period or number(folder.path / _PERIOD) or _USUAL)
    lacking = []
    group = folder.path
    for parent in _above(folder):  # upwards: each must have what the groups in it have together
        wanted += _share_inside(parent, but=group)
        if wanted <= _share(parent):
            break
        lacking.append((parent, wanted))
        group = parent
    for parent, share in reversed(lacking):  # downwards: none may have more than its parent
        write("extend the realtime budget", parent / _RUNTIME, _runtime(parent, share))


def release(folder: Folder) -> None:
    """Give up the budget of a group that is to be removed; its processes must be dead.

    After rmdir(2) the kernel counts the budget for some more milliseconds. If the container has
    made groups with budgets in its own, the kernel refuses, and the next call of :func:`reduce`
    lowers the groups above.
    """
    if number(folder.path / _RUNTIME):
        _lower(folder.path, 0)
    reduce(folder)


def reduce(folder: Folder) -> None:
    """Let minirt's groups above ``folder`` keep no more than the groups in them have together."""
    for parent in _above(folder):
        for _ in range(_TRIES):
            wanted = _runtime(parent, _share_inside(parent))
            if wanted >= (number(parent / _RUNTIME) or 0) or not _lower(parent, wanted):
                break


def _lower(group: Path, runtime: int) -> bool:
    """Lower the budget of a group; return False if the kernel refuses.

    The kernel refuses while the groups inside have more, or realtime processes would have none.
    """
    try:
        write("reduce the realtime budget", group / _RUNTIME, runtime)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBUSY, *GONE):
            raise
        return False
    return True


def _above(folder: Folder) -> list[Path]:
    """Return the groups above ``folder`` from the nearest one to the group of minirt."""
    base = folder.hierarchy.top / cgroups.base_name()
    return [one for one in folder.path.parents if one == base or base in one.parents]


def _share_inside(parent: Path, but: Path | None = None) -> Fraction:
    """Return the part of each period that the groups in ``parent`` have together."""
    inside = [one.parent for one in parent.glob(f"*/{_RUNTIME}") if one.parent != but]
    return sum(map(_share, inside), Fraction(0))


def _runtime(group: Path, share: Fraction) -> int:
    """Return the microseconds of the group's own period that are a part of each period."""
    return ceil(share * (number(group / _PERIOD) or _USUAL))


def _share(group: Path) -> Fraction:
    """Return the part of each period that a group may use."""
    return Fraction(number(group / _RUNTIME) or 0, number(group / _PERIOD) or _USUAL)
