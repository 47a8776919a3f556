"""What a process has from who forked it (fork(2)), for one whose parent is not its creator."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minirt.kernel import scheduling

_LIMITS = 16  # RLIM_NLIMITS of getrlimit(2)


def _policy(pid: int) -> tuple[int, int]:
    """Return the policy that a child has, and its realtime priority (sched(7))."""
    policy = os.sched_getscheduler(pid)
    if policy & os.SCHED_RESET_ON_FORK:
        return os.SCHED_OTHER, 0
    return policy, os.sched_getparam(pid).sched_priority


def _set_policy(one: tuple[int, int]) -> None:
    os.sched_setscheduler(0, one[0], os.sched_param(one[1]))


def _niceness(pid: int) -> int:
    return os.getpriority(os.PRIO_PROCESS, pid)


def _set_niceness(one: int) -> None:
    os.setpriority(os.PRIO_PROCESS, 0, one)


def _set_processors(one: set[int]) -> None:
    os.sched_setaffinity(0, one)


# How each is read of a process, and set for this one. Niceness comes after the policy.
_TRAITS: tuple[tuple[Callable[[int], Any], Callable[[Any], None]], ...] = (
    (_policy, _set_policy),
    (_niceness, _set_niceness),
    (os.sched_getaffinity, _set_processors),
    (scheduling.io_priority, scheduling.take_io_priority),
)


@dataclass(frozen=True, slots=True)
class Inheritance:
    """Resource limits, by number, and when and where it runs."""

    limits: tuple[tuple[int, int], ...] = ()
    traits: tuple[Any, ...] = ()

    def take(self) -> None:
        """Have this process take them; what it may not have, it does without."""
        for number, limit in enumerate(self.limits):
            if resource.getrlimit(number) != limit:
                with suppress(ValueError):
                    resource.setrlimit(number, limit)
        for (read, write), wanted in zip(_TRAITS, self.traits, strict=False):
            with suppress(OSError):
                if read(0) != wanted:
                    write(wanted)


NOTHING = Inheritance()


def of(pid: int = 0) -> Inheritance:
    """Return what a child of the process ``pid`` would have; 0: of this one (prlimit(2))."""
    limits = tuple(resource.prlimit(pid, number) for number in range(_LIMITS))
    return Inheritance(limits, tuple(read(pid) for read, _ in _TRAITS))


def shed() -> None:
    """Give up, but for limits, what this process has of who forked it, since it serves others too.

    Also the OOM score, by which the kernel chooses whom to kill (proc_pid_oom_score_adj(5)).
    """
    processors = set(range(os.sysconf("SC_NPROCESSORS_CONF")))
    Inheritance(traits=((os.SCHED_OTHER, 0), 0, processors, 0)).take()
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("0")
