"""From which nodes of a NUMA machine a process gets its memory (numa(7), set_mempolicy(2)).

The policy belongs to the process: a child inherits it, and execve(2) keeps it. The nodes to choose
from are those of its cgroup (cpuset.mems), so a process enters its cgroup first.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from minirt.kernel import libc
from minirt.kernel.steps import Shell, step

# include/uapi/linux/mempolicy.h
MODES = {
    "DEFAULT": 0,
    "PREFERRED": 1,
    "BIND": 2,
    "INTERLEAVE": 3,
    "LOCAL": 4,
    "PREFERRED_MANY": 5,  # since Linux 5.15
    "WEIGHTED_INTERLEAVE": 6,  # since Linux 6.9
}
FLAGS = {"STATIC_NODES": 1 << 15, "RELATIVE_NODES": 1 << 14, "NUMA_BALANCING": 1 << 13}
WITHOUT_NODES = ("DEFAULT", "LOCAL")
MOST_NODES = 1024  # MAX_NUMNODES of the largest kernel that can be configured
_WORD = 8  # bytes: a mask of nodes is an array of unsigned long
# numactl(8) has a word for most modes.
_OPTIONS = {"BIND": "--membind", "INTERLEAVE": "--interleave", "PREFERRED": "--preferred"}


@dataclass(frozen=True, slots=True)
class MemoryPolicy:
    """What set_mempolicy(2) takes: a mode and flags by their names, and numbers of nodes."""

    mode: str
    nodes: frozenset[int] = frozenset()
    flags: tuple[str, ...] = ()


def mask(nodes: Collection[int]) -> bytes:
    """Return a mask of nodes as the kernel reads it; of no nodes it is empty."""
    bits = sum(1 << node for node in nodes)
    return bits.to_bytes(-(-bits.bit_length() // (8 * _WORD)) * _WORD, "little")


def set_policy(policy: MemoryPolicy) -> None:
    """Give the calling process its memory so from now on. Raises OSError."""
    mode = MODES[policy.mode]
    for flag in policy.flags:
        mode |= FLAGS[flag]
    packed = mask(policy.nodes)
    nodes = ",".join(map(str, sorted(policy.nodes)))
    option = _OPTIONS.get(policy.mode, f"--{policy.mode.lower().replace('_', '-')}")
    with step("choose from which nodes its memory comes", "numactl", f"{option}={nodes}",
              Shell('"$@"')):  # fmt: skip
        # The kernel takes one bit less than it is told (set_mempolicy(2), NOTES).
        libc.syscall("set_mempolicy", mode, packed or None, 8 * len(packed) + 1 if packed else 0)
