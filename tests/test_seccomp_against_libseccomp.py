"""Our compiler and libseccomp's, asked the same questions about the default profile."""

from __future__ import annotations

import ctypes
import os
from math import inf
from typing import Any

import pytest

from minirt.kernel import syscall_tables
from minirt.kernel.syscall_tables import ARCHITECTURES, Architecture
from minirt.runtime import seccomp_profile, seccomp_programs
from tests.bpf_machine import run, run_and_watch
from tests.test_seccomp_profile import DEFAULT_CAPABILITIES

TOKENS = {
    "SCMP_ARCH_X32": 0x4000_003E,
    "SCMP_ARCH_X86": 0x4000_0003,
    "SCMP_ARCH_ARM": 0x4000_0028,
}
ACTIONS = {"SCMP_ACT_ALLOW": 0x7FFF_0000, "SCMP_ACT_ERRNO": 0x0005_0000}
OPERATORS = {"SCMP_CMP_EQ": 4, "SCMP_CMP_LT": 2, "SCMP_CMP_GT": 6, "SCMP_CMP_MASKED_EQ": 7}
ARGUMENTS = [0, 1, 2, 8, 0x11, 36, 38, 39, 40, 41, 0x2_0000, 0x2_0008, 0x1000_0011, 2**32 - 1]
ARGUMENTS += [2**32 + 38, 2**32, 2**64 - 1]


class Comparison(ctypes.Structure):
    """struct scmp_arg_cmp of seccomp.h."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


@pytest.fixture
def libseccomp() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        pytest.skip("libseccomp2 is not installed")
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
    library.seccomp_arch_add.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    library.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.seccomp_rule_add_array.argtypes = [
        *(ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint),
        ctypes.POINTER(Comparison),
    ]
    return library


def compiled_by(library: ctypes.CDLL, profile: dict[str, Any]) -> bytes:
    context = library.seccomp_init(ctypes.c_uint32(0x0005_0001))
    for name in profile["architectures"]:
        if name in TOKENS:
            assert library.seccomp_arch_add(context, TOKENS[name]) == 0
    for rule in profile["syscalls"]:
        answer = ACTIONS[rule["action"]] | rule.get("errnoRet", 0)
        terms = [
            Comparison(one["index"], OPERATORS[one["op"]], one["value"], one["valueTwo"])
            for one in rule.get("args", ())
        ]
        array = (Comparison * len(terms))(*terms)
        for name in rule["names"]:
            number = library.seccomp_syscall_resolve_name(name.encode())
            if number != -1:  # it doesn't know the call
                library.seccomp_rule_add_array(context, answer, number, len(terms), array)
    fd = os.memfd_create("filter")
    assert library.seccomp_export_bpf(context, fd) == 0
    return os.pread(fd, 1 << 20, 0)


@pytest.mark.parametrize("more", [[], ["CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_BPF"]])
def test_both_decide_the_same(libseccomp: ctypes.CDLL, more: list[str]) -> None:
    profile = seccomp_profile.default([*DEFAULT_CAPABILITIES, *more])
    (ours,) = seccomp_programs.compile_rules(profile)
    theirs = compiled_by(libseccomp, profile)
    tables = syscall_tables.load()
    known = first_unknown(libseccomp, tables[syscall_tables.native()])
    different = {
        (architecture.name, number, argument)
        for name in syscall_tables.WAYS_IN[syscall_tables.native()]
        for architecture in [ARCHITECTURES[name]]
        for number in numbers(architecture, tables[name])
        if number - architecture.base < known
        for argument in told_apart(ours, theirs, architecture.word, number)
        if run(ours, architecture.word, number, [argument])
        != run(theirs, architecture.word, number, [argument])
    }
    # To allow socket is to allow socketcall(2) with any family there; we let it make no sockets.
    has_socketcall = "i386" in syscall_tables.WAYS_IN[syscall_tables.native()]
    assert different == ({("i386", 102, 1), ("i386", 102, 8)} if has_socketcall else set())


def told_apart(ours: bytes, theirs: bytes, word: int, number: int) -> list[int]:
    """Return the arguments to ask about: only one if neither program looks at any."""
    has_looked = [run_and_watch(one, word, number, ARGUMENTS[:1])[1] for one in (ours, theirs)]
    return ARGUMENTS if any(has_looked) else ARGUMENTS[:1]


def numbers(architecture: Architecture, table: dict[str, int]) -> set[int]:
    """Return the numbers that both know; to newer ones we say ENOSYS, as runc does."""
    end = syscall_tables.newest(architecture, table) + 1
    return {*table.values(), *range(architecture.base, end)}


def first_unknown(library: ctypes.CDLL, table: dict[str, int]) -> float:
    """Return the number of the first call that this libseccomp is too old to know."""
    resolve = library.seccomp_syscall_resolve_name
    return min(
        (number for name, number in table.items() if resolve(name.encode()) == -1), default=inf
    )
