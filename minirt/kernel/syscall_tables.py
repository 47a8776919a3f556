"""The system calls of Linux by name, for each way in that a machine has (syscalls(2)).

The numbers stand in syscalls.json, written from the kernel's headers by
tools/syscall_tables.py. A machine has several ways in: its own, that of the older 32-bit
programs, and on x86_64 the one of x32, told from its own only by a bit in the number.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("syscalls.json")
X32_BIT = 0x4000_0000  # __X32_SYSCALL_BIT, arch/x86/include/uapi/asm/unistd.h


@dataclass(frozen=True, slots=True)
class Architecture:
    """One way in. ``word`` is how seccomp(2) names it: AUDIT_ARCH_* of linux/audit.h."""

    name: str
    word: int
    bits: int  # of an argument: 32 or 64
    base: int = 0  # where its numbers begin
    private: int = 1 << 32  # where those begin that are no other machine's


ARCHITECTURES = {
    one.name: one
    for one in (
        Architecture("x86_64", 0xC000_003E, 64),
        Architecture("x32", 0xC000_003E, 32, X32_BIT, X32_BIT + 512),
        Architecture("i386", 0x4000_0003, 32),
        Architecture("aarch64", 0xC000_00B7, 64),
        Architecture("arm", 0x4000_0028, 32, private=0x0F_0000),
    )
}
WAYS_IN = {"x86_64": ("x86_64", "x32", "i386"), "aarch64": ("aarch64", "arm")}


def newest(architecture: Architecture, table: Mapping[str, int]) -> int:
    """Return the highest number that all machines have in common: new calls come after it."""
    return max(number for number in table.values() if number < architecture.private)


@cache
def native() -> str:
    """Return the name of this machine's own architecture."""
    return os.uname().machine


def load() -> dict[str, dict[str, int]]:
    """Read the tables: architecture -> name -> number."""
    document = json.loads(FILE.read_bytes())
    return {name: document[name] for name in ARCHITECTURES}
