"""Filters for system calls: loaded here, compiled in :mod:`minirt.kernel.seccomp_compiler`."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from minirt.kernel import libc
from minirt.kernel.steps import step

# include/uapi/linux/seccomp.h
_SET_MODE_FILTER = 1
LOG, SPEC_ALLOW, NEW_LISTENER, WAIT_KILLABLE_RECV = 0x2, 0x4, 0x8, 0x20
# By the names of the header. TSYNC is for threads: there are none.
FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": 0,
    "SECCOMP_FILTER_FLAG_LOG": LOG,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": SPEC_ALLOW,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": WAIT_KILLABLE_RECV,
}
INSTRUCTION = 8  # bytes: struct sock_filter of include/uapi/linux/filter.h
MOST_INSTRUCTIONS = 4096  # of one program: BPF_MAXINSNS
MOST_TOGETHER = 1 << 15  # of all programs of a process: MAX_INSNS_PER_PATH of kernel/seccomp.c


class _Fprog(ctypes.Structure):
    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_void_p))


@dataclass(frozen=True, slots=True)
class Loadable:
    """A program at an address, ready for the kernel."""

    instructions: ctypes.Array[ctypes.c_char]
    header: _Fprog
    address: int


def prepare(program: bytes) -> Loadable:
    """Lay out a compiled program in memory, so that :func:`load` is one system call."""
    count, rest = divmod(len(program), INSTRUCTION)
    if rest or not 0 < count <= MOST_INSTRUCTIONS:
        raise ValueError("this is no seccomp program")
    instructions = ctypes.create_string_buffer(program, len(program))
    header = _Fprog(count, ctypes.addressof(instructions))
    return Loadable(instructions, header, ctypes.addressof(header))


def load(program: Loadable, flags: int = 0) -> int:
    """Filter all further system calls of this process and of its descendants, seccomp(2).

    With NEW_LISTENER among the ``flags`` it returns the supervisor's descriptor
    (seccomp_unotify(2)). Needs no_new_privs, or CAP_SYS_ADMIN in the user namespace.
    Raises OSError.
    """
    with step("filter the system calls", "bwrap", "--seccomp", "3", "..."):
        return libc.syscall("seccomp", _SET_MODE_FILTER, flags, program.address)
