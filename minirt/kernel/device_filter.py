"""Which devices the processes of a cgroup may use, where version 2 rules (cgroups(7)).

Version 2 has no file for it: a small program of extended BPF is attached to the group, and asked
at every open(2) and mknod(2) of a device node (bpf(2), BPF_PROG_TYPE_CGROUP_DEVICE). It
lives as long as the group. It is written here instruction by instruction: a dozen kinds
of them don't need a compiler.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from minirt.kernel import libc
from minirt.kernel.steps import Shell, step

# include/uapi/linux/bpf.h
_PROG_LOAD, _PROG_ATTACH, _PROG_DETACH, _PROG_QUERY = 5, 8, 9, 16
_PROG_TYPE_CGROUP_DEVICE, _ATTACH_TYPE_CGROUP_DEVICE, _ALLOW_MULTI = 15, 6, 2
_KINDS = {"b": 1, "c": 2}  # BPF_DEVCG_DEV_BLOCK, BPF_DEVCG_DEV_CHAR
_ACCESS = {"m": 1, "r": 2, "w": 4}  # BPF_DEVCG_ACC_MKNOD, _READ, _WRITE
_ALL = 7
_MOST_PROGRAMS = 64  # BPF_CGROUP_MAX_PROGS

# struct bpf_insn: opcode, registers (destination, source << 4), offset, constant.
_INSTRUCTION = struct.Struct("=BBhi")
_LOAD_WORD, _MOVE, _MOVE_CONSTANT, _EXIT = 0x61, 0xBC, 0xB7, 0x95
_AND_CONSTANT, _SHIFT_RIGHT = 0x54, 0x74
_JUMP_UNLESS_EQUAL, _JUMP_UNLESS_SAME = 0x55, 0x5D
# Our registers: 2 the kind, 3 the access, 4 the major and 5 the minor number, 1 for the rules.
_KIND, _WANTED, _MAJOR, _MINOR = 2, 3, 4, 5


@dataclass(frozen=True, slots=True)
class Rule:
    """One line: what is allowed or denied. Of all the lines that fit, the last one counts."""

    allow: bool
    kind: str = "a"  # "c", "b" or "a": both
    major: int | None = None  # None: every
    minor: int | None = None
    access: str = "rwm"  # read, write, mknod(2)

    def __str__(self) -> str:
        numbers = ("*" if one is None else str(one) for one in (self.major, self.minor))
        return f"{self.kind} {':'.join(numbers)} {self.access}"


def compile_rules(rules: Iterable[Rule]) -> bytes:
    """Compile rules; what no rule allows is denied.

    A denying rule fits if it denies any of the kinds of access that are wanted, an allowing
    one only if it allows all of them.
    """
    program = [
        _insn(_LOAD_WORD, _KIND, 1, 0, 0),  # struct bpf_cgroup_dev_ctx: access_type, major, minor
        _insn(_MOVE, _WANTED, _KIND, 0, 0),
        _insn(_AND_CONSTANT, _KIND, 0, 0, 0xFFFF),
        _insn(_SHIFT_RIGHT, _WANTED, 0, 0, 16),
        _insn(_LOAD_WORD, _MAJOR, 1, 4, 0),
        _insn(_LOAD_WORD, _MINOR, 1, 8, 0),
    ]
    for rule in [*reversed(list(rules)), Rule(allow=False)]:
        program += _compile_rule(rule)
        if (rule.kind, rule.major, rule.minor) == ("a", None, None) and _mask(rule) == _ALL:
            break  # It fits everything, and the kernel takes no code that is never reached.
    return b"".join(program)


def attach(folder: Path, rules: Iterable[Rule]) -> None:
    """Let the rules hold in the group ``folder``, instead of those that were attached before.

    Needs CAP_BPF, CAP_NET_ADMIN and CAP_SYS_ADMIN. Raises OSError.
    """
    rules = list(rules)
    told = (f"{'allow' if one.allow else 'deny'} {one}" for one in rules)
    words = ("bpftool", "cgroup", "attach", folder, "cgroup_device", "pinned", "PROGRAM", "multi")
    with step("limit the devices", *words, Shell(f"# {'; '.join(told)}")):
        program = _load(compile_rules(rules))
        group = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            before = _attached(group)
            _bpf(_PROG_ATTACH, "IIII", group, program, _ATTACH_TYPE_CGROUP_DEVICE, _ALLOW_MULTI)
            for number in before:
                _detach(group, number)
        finally:
            os.close(group)
            os.close(program)


def _compile_rule(rule: Rule) -> list[bytes]:
    """Compile one rule: tests that jump behind it, and its answer."""
    tests: list[tuple[int, int, int, int]] = []  # opcode, register, other register, constant
    if rule.kind != "a":
        tests.append((_JUMP_UNLESS_EQUAL, _KIND, 0, _KINDS[rule.kind]))
    for register, number in ((_MAJOR, rule.major), (_MINOR, rule.minor)):
        if number is not None:
            tests.append((_JUMP_UNLESS_EQUAL, register, 0, number))
    mask = _mask(rule)
    body: list[bytes] = []
    if mask != _ALL:
        body = [_insn(_MOVE, 1, _WANTED, 0, 0), _insn(_AND_CONSTANT, 1, 0, 0, mask)]
        if rule.allow:  # (wanted & mask) == wanted
            body.append(_insn(_JUMP_UNLESS_SAME, 1, _WANTED, 2, 0))
        else:  # (wanted & mask) != 0
            body += [_insn(_JUMP_UNLESS_EQUAL, 1, 0, 1, 0), _insn(0x05, 0, 0, 2, 0)]
    body += [_insn(_MOVE_CONSTANT, 0, 0, 0, int(rule.allow)), _insn(_EXIT, 0, 0, 0, 0)]
    after = len(tests) + len(body)
    head = [
        _insn(opcode, register, other, after - place - 1, constant)
        for place, (opcode, register, other, constant) in enumerate(tests)
    ]
    return head + body


def _mask(rule: Rule) -> int:
    return sum({_ACCESS[one] for one in rule.access})


def _insn(opcode: int, destination: int, source: int, offset: int, constant: int) -> bytes:
    return _INSTRUCTION.pack(opcode, destination | source << 4, offset, constant)


def _load(program: bytes) -> int:
    """Let the kernel check a program; return its descriptor."""
    code = ctypes.create_string_buffer(program, len(program))
    licence = ctypes.create_string_buffer(b"MIT")
    return _bpf(
        _PROG_LOAD,
        "IIQQIIQII16sII",
        _PROG_TYPE_CGROUP_DEVICE,
        len(program) // _INSTRUCTION.size,
        ctypes.addressof(code),
        ctypes.addressof(licence),
        *(0, 0, 0, 0, 0),  # log level, size and buffer, kernel version, flags
        b"devices",
        0,  # interface
        _ATTACH_TYPE_CGROUP_DEVICE,
    )


def _attached(group: int) -> list[int]:
    """Return the numbers of the programs that are attached to the group itself."""
    numbers = (ctypes.c_uint32 * _MOST_PROGRAMS)()
    head = (group, _ATTACH_TYPE_CGROUP_DEVICE, 0, 0, ctypes.addressof(numbers), _MOST_PROGRAMS, 0)
    buffer = _buffer("IIIIQII", *head)
    libc.syscall("bpf", _PROG_QUERY, buffer, len(buffer))
    return list(numbers)[: struct.unpack_from("I", buffer, 24)[0]]


def _detach(group: int, number: int) -> None:
    program = _bpf(13, "III", number, 0, 0)  # BPF_PROG_GET_FD_BY_ID
    try:
        _bpf(_PROG_DETACH, "III", group, program, _ATTACH_TYPE_CGROUP_DEVICE)
    finally:
        os.close(program)


def _bpf(command: int, form: str, *values: int | bytes) -> int:
    buffer = _buffer(form, *values)
    return libc.syscall("bpf", command, buffer, len(buffer))


def _buffer(form: str, *values: int | bytes) -> ctypes.Array[ctypes.c_char]:
    return ctypes.create_string_buffer(
        struct.pack(f"={form}", *values), struct.calcsize(f"={form}")
    )
