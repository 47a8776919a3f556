"""What a process has from who forked it (fork(2)), for an init whose parent is not its creator."""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from dataclasses import dataclass

_LIMITS = 16  # RLIM_NLIMITS of getrlimit(2)


@dataclass(frozen=True, slots=True)
class Inheritance:
    """Resource limits, by number, and niceness; None is no matter."""

    limits: tuple[tuple[int, int], ...] = ()
    niceness: int | None = None

    def take(self) -> None:
        """Have this process take them; of limits above its hard ones, none."""
        for number, limit in enumerate(self.limits):
            if resource.getrlimit(number) != limit:
                with suppress(ValueError):
                    resource.setrlimit(number, limit)
        if self.niceness not in (None, os.getpriority(os.PRIO_PROCESS, 0)):
            os.setpriority(os.PRIO_PROCESS, 0, self.niceness)


NOTHING = Inheritance()


def of(pid: int = 0) -> Inheritance:
    """Return what a child of the process ``pid`` would have; 0: of this one (prlimit(2))."""
    limits = tuple(resource.prlimit(pid, number) for number in range(_LIMITS))
    return Inheritance(limits, os.getpriority(os.PRIO_PROCESS, pid))
