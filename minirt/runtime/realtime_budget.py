"""Realtime budgets of the groups above a container's, with cgroup version 1.

A group may have no larger a share of each period than its parent, and the groups in it together no
larger one than it has itself (Documentation/scheduler/sched-rt-group.rst). A new group has none.
runc and crun put a container at the top of the hierarchy, where there is a budget; minirt's
containers lie in a group of minirt. That group, and those below it on the way, get what the groups
in them need together, and no more.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from pathlib import Path

from minirt.kernel import cgroups
from minirt.kernel.cgroup_files import number, write
from minirt.kernel.cgroups import Folder

_RUNTIME, _PERIOD = "cpu.rt_runtime_us", "cpu.rt_period_us"  # microseconds
_USUAL = 1_000_000  # the period of a new group


def extend(folder: Folder, runtime: int, period: int) -> None:
    """Let the groups above ``folder`` have room for its budget, in microseconds.

    Groups above that of minirt are somebody else's and stay as they are. Raises OSError if they
    have too little.
    """
    base = folder.hierarchy.top / cgroups.base_name()
    above = [one for one in folder.path.parents if one == base or base in one.parents]
    wanted = Fraction(runtime, period or number(folder.path / _PERIOD) or _USUAL)
    lacking = []
    group = folder.path
    for parent in above:  # upwards: each must have what the groups in it are to have together
        inside = [one.parent for one in parent.glob(f"*/{_RUNTIME}") if one.parent != group]
        wanted += sum(map(_share, inside), Fraction(0))
        if wanted <= _share(parent):
            break
        lacking.append((parent, wanted))
        group = parent
    for parent, share in reversed(lacking):  # downwards: none may have more than its parent
        length = number(parent / _PERIOD) or _USUAL
        write("extend the realtime budget", parent / _RUNTIME, ceil(share * length))


def _share(group: Path) -> Fraction:
    """Return the part of each period that a group may use."""
    return Fraction(number(group / _RUNTIME) or 0, number(group / _PERIOD) or _USUAL)
