"""When a process runs, and for what kernel it takes this one (sched(7), personality(2))."""

from __future__ import annotations

import ctypes
import struct
from dataclasses import dataclass

from minirt.kernel import libc
from minirt.kernel.steps import Shell, step

# include/uapi/linux/sched.h, sched/types.h, ioprio.h; include/uapi/linux/personality.h
POLICIES = {"OTHER": 0, "FIFO": 1, "RR": 2, "BATCH": 3, "ISO": 4, "IDLE": 5, "DEADLINE": 6}
FLAGS = {
    **{"RESET_ON_FORK": 0x01, "RECLAIM": 0x02, "DL_OVERRUN": 0x04, "KEEP_POLICY": 0x08},
    **{"KEEP_PARAMS": 0x10, "UTIL_CLAMP_MIN": 0x20, "UTIL_CLAMP_MAX": 0x40},
}
IO_CLASSES = {"RT": 1, "BE": 2, "IDLE": 3}
DOMAINS = {"LINUX": 0x0000, "LINUX32": 0x0008}
_IOPRIO_WHO_PROCESS, _CLASS_SHIFT = 1, 13
_ATTRIBUTES = struct.Struct("IIQiIQQQ")  # struct sched_attr, sched_setattr(2)


@dataclass(frozen=True, slots=True)
class Scheduler:
    """What sched_setattr(2) takes; times in nanoseconds."""

    policy: int
    flags: int = 0
    nice: int = 0
    priority: int = 0
    runtime: int = 0
    deadline: int = 0
    period: int = 0


def set_scheduler(one: Scheduler) -> None:
    """Let the calling process be scheduled so. Raises OSError."""
    packed = _ATTRIBUTES.pack(
        _ATTRIBUTES.size, one.policy, one.flags, one.nice, one.priority, one.runtime,
        one.deadline, one.period,
    )  # fmt: skip
    name = next(name for name, number in POLICIES.items() if number == one.policy).lower()
    words = ("chrt", f"--{name}", "--pid", one.priority, Shell("$INIT"))
    with step("choose how it is scheduled", *words):
        buffer = ctypes.create_string_buffer(packed, len(packed))
        libc.syscall("sched_setattr", 0, buffer, 0)


def set_io_priority(kind: int, level: int) -> None:
    """Let the calling process's requests to disks be of this class and level. Raises OSError."""
    words = ("ionice", "-c", kind, "-n", level, "-p", Shell("$INIT"))
    with step("choose how soon disks serve it", *words):
        take_io_priority(kind << _CLASS_SHIFT | level)


def io_priority(pid: int) -> int:
    """Return class and level of a process as ioprio_get(2) packs them; 0: of this one."""
    return libc.syscall("ioprio_get", _IOPRIO_WHO_PROCESS, pid)


def take_io_priority(packed: int) -> None:
    """Have this process have what another has, as :func:`io_priority` returned it."""
    libc.syscall("ioprio_set", _IOPRIO_WHO_PROCESS, 0, packed)


def set_personality(domain: int) -> None:
    """Let uname(2) and some other calls answer as this domain does. Raises OSError."""
    with step("choose the personality", "setarch", f"{domain:#x}", Shell('"$@"')):
        libc.syscall("personality", domain)
