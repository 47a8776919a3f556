"""Amounts: bytes, processors, ulimits, sysctls."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from minirt.container.flags.typed import Flags, refused, unusable
from minirt.errors import InvalidRequest

# Patterns stay texts until one is used: few containers are started with a ulimit.
SIZE = r"(?ai)(\d+(?:\.\d+)?) ?(?:([kmgtp])i?)?b?"
LEAST_MEMORY = 6 << 20  # Docker's: less does not even hold the start of the command.
UNLIMITED = -1

ULIMITS = (  # setrlimit(2)
    "core|cpu|data|fsize|locks|memlock|msgqueue|nice|nofile|nproc|rss|rtprio|rttime|sigpending|stack"
)
# What a namespace keeps for itself, so that writing it changes nothing for the host.
OWN_SYSCTLS = (
    r"kernel\.(msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|shm_rmid_forced)|(net|fs\.mqueue)\..+"
)
SYSCTL_NAME = r"[a-zA-Z0-9_][a-zA-Z0-9_.:/-]*"


def fields(flags: Flags) -> dict[str, Any]:
    """Return the fields of HostConfig that limit what it uses. Raises InvalidRequest."""
    limit, with_swap = memory(flags.memory, flags.memory_swap)
    if not -1000 <= flags.oom_score_adj <= 1000:
        why = "the range for oom score adj is [-1000, 1000]"
        raise unusable("--oom-score-adj", str(flags.oom_score_adj), why)
    return {
        "memory": limit,
        "memory_swap": with_swap,
        "memory_reservation": reservation(flags.memory_reservation, limit),
        "nano_cpus": nano_cpus(flags.cpus),
        "cpu_shares": weight(flags.cpu_shares, "--cpu-shares", 2, 1 << 18),
        "cpuset_cpus": cpuset(flags.cpuset_cpus, "--cpuset-cpus"),
        "cpuset_mems": cpuset(flags.cpuset_mems, "--cpuset-mems"),
        "blkio_weight": weight(flags.blkio_weight, "--blkio-weight", 10, 1000),
        "pids_limit": count(flags.pids_limit, "--pids-limit"),
        "shm_size": (flags.shm_size and size(flags.shm_size, "--shm-size")) or 64 << 20,
        "ulimits": [ulimit(text) for text in flags.ulimit],
        "oom_kill_disable": flags.oom_kill_disable,
        "oom_score_adj": flags.oom_score_adj,
        "cgroup_parent": cgroup_parent(flags.cgroup_parent),
    }


def size(text: str, flag: str) -> int:
    """Read an amount of bytes: ``64``, ``64k``, ``1.5g``, ``512MiB``. A kilobyte has 1024.

    Raises InvalidRequest.
    """
    match = re.fullmatch(SIZE, text)
    if match is None:
        raise refused(flag, text, f"invalid size: '{text}'", "Write it like 512m or 1.5g.")
    number, unit = match.groups()
    amount = float(number) * 1024 ** ("kmgtp".index(unit.lower()) + 1 if unit else 0)
    if amount >= 1 << 63:  # also the infinity that a number of more than 308 digits becomes
        raise refused(flag, text, "that is more than the kernel can count")
    return int(amount)


def memory(limit: str, with_swap: str) -> tuple[int, int]:
    """Read ``--memory`` and ``--memory-swap``: bytes, and bytes together with the swap.

    Raises InvalidRequest where the two contradict each other.
    """
    amount = size(limit, "--memory") if limit else 0
    if 0 < amount < LEAST_MEMORY:
        raise unusable("--memory", limit, "the least memory limit is 6m")
    if not with_swap:
        return amount, 0
    both = UNLIMITED if with_swap == "-1" else size(with_swap, "--memory-swap")
    if both and not amount:
        raise unusable("--memory-swap", with_swap, "it needs a limit of memory too", "Add -m.")
    if 0 < both < amount:
        why = "it counts memory and swap together, so it can't be less than --memory"
        raise unusable("--memory-swap", with_swap, why)
    return amount, both


def reservation(text: str, limit: int) -> int:
    """Read ``--memory-reservation``: bytes that it may keep when memory is short.

    Raises InvalidRequest.
    """
    amount = size(text, "--memory-reservation") if text else 0
    if 0 < amount < LEAST_MEMORY:
        raise unusable("--memory-reservation", text, "the least memory reservation is 6m")
    if limit and amount > limit:
        why = "minimum memory limit can not be less than memory reservation limit"
        raise unusable("--memory-reservation", text, why)
    return amount


def weight(value: int, flag: str, least: int, most: int) -> int:
    """Return a share of what is contended for; 0: the usual one. Raises InvalidRequest."""
    if value and not least <= value <= most:
        raise unusable(flag, str(value), f"the range is from {least} to {most}")
    return value


def cpuset(text: str, flag: str) -> str:
    """Return a list like ``0-2,7`` (cpuset(7), "List format"). Raises InvalidRequest."""
    if text and not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", text, re.ASCII):
        raise unusable(flag, text, "it is not a list like 0-3,7")
    return text


def cgroup_parent(text: str) -> str:
    """Return the name of a cgroup that its own is to lie in. Raises InvalidRequest."""
    if not text:
        return text
    if ".." in text.split("/") or not text.strip("/") or not text.isprintable():
        raise refused("--cgroup-parent", text, "it names no group")
    return text.rstrip("/")


def nano_cpus(text: str) -> int:
    """Read a number of processors; return thousand-millionths of one.

    Raises InvalidRequest.
    """
    if not text:
        return 0
    if not re.fullmatch(r"\d{1,9}(\.\d*)?|\.\d+", text, re.ASCII):
        raise refused("--cpus", text, "it is not a number", "Write it like 2 or 0.5.")
    nanos = Decimal(text) * 1_000_000_000
    if nanos != int(nanos):
        raise refused("--cpus", text, "value is too precise", "Nine decimals are possible.")
    if 0 < nanos < 10_000_000:
        raise unusable("--cpus", text, "the least is 0.01")
    return int(nanos)


def ulimit(text: str) -> dict[str, Any]:
    """Read ``name=soft[:hard]``, with -1 for no limit.

    Raises InvalidRequest.
    """
    name, equals, values = text.partition("=")
    name = name.strip()
    if not equals or not name:
        raise refused(
            "--ulimit", text, "invalid ulimit argument", "Write it like nofile=1024:2048."
        )
    if not re.fullmatch(ULIMITS, name):
        known = ULIMITS.replace("|", ", ")
        raise refused("--ulimit", text, f"invalid ulimit type: {name}", f"There are: {known}.")
    if not re.fullmatch(r"(-1|\d{1,19})(:(-1|\d{1,19}))?", values, re.ASCII):
        raise refused("--ulimit", text, "limits are soft[:hard], each a number or -1")
    first, _, second = values.partition(":")
    soft, hard = int(first), int(second or first)
    if hard != UNLIMITED and (soft == UNLIMITED or soft > hard):
        why = "ulimit soft limit must be less than or equal to hard limit"
        raise refused("--ulimit", text, f"{why}: {first} > {second}")
    return {"name": name, "soft": soft, "hard": hard}


def sysctl(text: str) -> tuple[str, str]:
    """Read ``name=value`` of a kernel parameter that belongs to a namespace (sysctl(8)).

    Raises InvalidRequest for one that would change the host.
    """
    name, equals, value = text.partition("=")
    if not equals or not re.fullmatch(SYSCTL_NAME, name) or ".." in name:
        raise refused("--sysctl", text, "it is not name=value")
    dotted = name if "." in name.split("/")[0] else name.replace("/", ".")
    if re.fullmatch(OWN_SYSCTLS, dotted):
        return dotted, value
    why = f"sysctl '{name}' is not allowed: it belongs to the whole machine"
    raise refused(
        "--sysctl", text, why, "Allowed are net.*, fs.mqueue.* and kernel.{msg,sem,shm}*."
    )


def count(value: int, flag: str) -> int:
    """Return a number of processes, with 0 for no limit. Raises InvalidRequest."""
    if value < UNLIMITED:
        raise InvalidRequest(f"Invalid argument {value} for {flag}", "it must be positive, or -1")
    return max(value, 0)
