"""The privileges of root, one by one (capabilities(7)).

Sets of capabilities are integers here, bit N for capability N, as the kernel counts them.
"""

from __future__ import annotations

import ctypes
import errno
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import prctl

from minirt.kernel import libc
from minirt.kernel.steps import Shell, step

# include/uapi/linux/capability.h, in the order of their numbers.
NAMES = tuple(
    f"CAP_{name}"
    for name in (
        *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID"),
        *("SETUID", "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST"),
        *("NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO"),
        *("SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE"),
        *("SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE"),
        *("AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM"),
        *("BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE"),
    )
)
NUMBERS = {name: number for number, name in enumerate(NAMES)}

# include/uapi/linux/prctl.h: what python-prctl has no function for, or only for the capabilities
# that were known when it was built.
_AMBIENT, _AMBIENT_RAISE, _AMBIENT_CLEAR = 47, 2, 4
_CAPBSET_READ, _CAPBSET_DROP = 23, 24
# include/uapi/linux/capability.h: _LINUX_CAPABILITY_VERSION_3, and 0 for the caller.
_HEADER = struct.pack("Ii", 0x2008_0522, 0)


@dataclass(frozen=True, slots=True)
class Sets:
    """The five sets of a process, each as a mask."""

    bounding: int = 0
    effective: int = 0
    permitted: int = 0
    inheritable: int = 0
    ambient: int = 0


def mask(names: Iterable[str]) -> int:
    """Return the set of these names. Raises KeyError for a name that the kernel never had."""
    result = 0
    for name in names:
        result |= 1 << NUMBERS[name]
    return result


def names(mask: int) -> list[str]:
    """Return the names in a set, in the order of their numbers."""
    return [name for number, name in enumerate(NAMES) if mask >> number & 1]


@cache
def known_to_kernel() -> int:
    """Return the set of all capabilities of the running kernel.

    Asked of the kernel itself: /proc/sys/kernel/cap_last_cap may be out of reach by now.
    """
    number = 0
    while True:
        try:
            libc.prctl(_CAPBSET_READ, number)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return (1 << number) - 1
        number += 1


def bounding() -> int:
    """Return the bounding set of the caller: what it, or what it executes, can ever have."""
    every = known_to_kernel()
    return sum(1 << n for n in range(every.bit_length()) if libc.prctl(_CAPBSET_READ, n))


def available() -> list[str]:
    """Return the names of all that the caller can give."""
    return names(bounding())


def is_effective(name: str) -> bool:
    """Say whether the caller may use a capability, in its user namespace."""
    return bool(getattr(prctl.cap_effective, name.removeprefix("CAP_").lower()))


def limit_bounding(keep: int) -> None:
    """Drop from the bounding set all but ``keep``. Needs CAP_SETPCAP."""
    with step("limit the capabilities for good", "setpriv", _option("bounding-set", keep), _REST):
        every = known_to_kernel()
        for number in range(every.bit_length()):
            if not keep >> number & 1:
                libc.prctl(_CAPBSET_DROP, number)


def keep_across_setuid(keep: bool) -> None:
    """Keep the permitted set when the user changes from root (PR_SET_KEEPCAPS)."""
    prctl.set_keepcaps(keep)


def set_sets(sets: Sets) -> None:
    """Set the effective, permitted and inheritable set at once, capset(2), then the ambient.

    An ambient capability must be permitted and inheritable: one that isn't is left out.
    """
    title = "keep only these capabilities"
    options = [_option("inh-caps", sets.inheritable), _option("ambient-caps", sets.ambient)]
    with step(title, "setpriv", *options, _REST):
        libc.syscall("capset", ctypes.create_string_buffer(_HEADER), _data(sets))
        libc.prctl(_AMBIENT, _AMBIENT_CLEAR)
        possible = sets.ambient & sets.permitted & sets.inheritable
        for number in range(possible.bit_length()):
            if possible >> number & 1:
                libc.prctl(_AMBIENT, _AMBIENT_RAISE, number)


def _data(sets: Sets) -> ctypes.Array[ctypes.c_char]:
    """Return struct __user_cap_data_struct[2]: the low words of the three sets, then the high."""
    three = (sets.effective, sets.permitted, sets.inheritable)
    words = [one >> shift & 0xFFFF_FFFF for shift in (0, 32) for one in three]
    return ctypes.create_string_buffer(struct.pack("6I", *words))


def _option(option: str, mask: int) -> str:
    """Write a set as setpriv(1) reads it."""
    chosen = [f"+{name.removeprefix('CAP_').lower()}" for name in names(mask)]
    return f"--{option}={','.join(['-all', *chosen])}"


_REST = Shell('"$@"')  # setpriv(1) changes itself, and becomes the command after its options
