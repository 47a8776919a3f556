"""linux.seccomp of config.json, read into what the compiler of filters knows.

Source: OCI runtime-spec 1.2, config-linux.md, "Seccomp".
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import Any

from minirt.errors import in_quotes
from minirt.kernel import seccomp, syscall_tables
from minirt.kernel import seccomp_compiler as bpf
from minirt.kernel.seccomp_compiler import Condition, Filter, Operator, Rule
from minirt.runtime.document import Place

ARCHITECTURES = {
    "SCMP_ARCH_X86_64": "x86_64",
    "SCMP_ARCH_X32": "x32",
    "SCMP_ARCH_X86": "i386",
    "SCMP_ARCH_AARCH64": "aarch64",
    "SCMP_ARCH_ARM": "arm",
}
ACTIONS = {
    "SCMP_ACT_KILL": bpf.KILL_THREAD,
    "SCMP_ACT_KILL_THREAD": bpf.KILL_THREAD,
    "SCMP_ACT_KILL_PROCESS": bpf.KILL_PROCESS,
    "SCMP_ACT_TRAP": bpf.TRAP,
    "SCMP_ACT_ERRNO": bpf.ERRNO,
    "SCMP_ACT_TRACE": bpf.TRACE,
    "SCMP_ACT_NOTIFY": bpf.USER_NOTIF,
    "SCMP_ACT_LOG": bpf.LOG,
    "SCMP_ACT_ALLOW": bpf.ALLOW,
}
OPERATORS = {
    "SCMP_CMP_NE": Operator.NE,
    "SCMP_CMP_LT": Operator.LT,
    "SCMP_CMP_LE": Operator.LE,
    "SCMP_CMP_EQ": Operator.EQ,
    "SCMP_CMP_GE": Operator.GE,
    "SCMP_CMP_GT": Operator.GT,
    "SCMP_CMP_MASKED_EQ": Operator.MASKED_EQ,
}
_MOST_ERRNO = 4095  # MAX_ERRNO of the kernel's include/linux/err.h


def read(document: Mapping[str, Any]) -> Filter:
    """Read linux.seccomp. Raises InvalidRequest with the path of what is wrong."""
    place = Place(document, "linux.seccomp")
    for one in place.get("flags").items():
        one.one_of(seccomp.FLAGS)
    if place.get("defaultAction").value == "SCMP_ACT_NOTIFY":
        place.get("defaultAction").refuse("would let the supervisor wait for itself")
    if place.get("listenerMetadata").text("") and not place.get("listenerPath").text(""):
        place.get("listenerMetadata").refuse("needs a listenerPath")
    default = _answer(place.get("defaultAction"), place.get("defaultErrnoRet"))
    return Filter(
        default=default,
        architectures=_architectures(place.get("architectures")),
        rules=tuple(rule for one in place.get("syscalls").items() for rule in _rules(one)),
        unknown=_answer_to_unknown(default),
    )


def _architectures(place: Place) -> tuple[str, ...]:
    """Return this machine's own architecture, and which of its others are asked for."""
    possible = syscall_tables.WAYS_IN[syscall_tables.native()]
    asked = set()
    for one in place.items():
        if not one.text().startswith("SCMP_ARCH_"):
            one.refuse(f"is {in_quotes(one.value)}, which is no architecture")
        asked.add(ARCHITECTURES.get(one.text()))
    return (possible[0], *(name for name in possible[1:] if name in asked))


def _answer_to_unknown(default: int) -> int | None:
    """Say ENOSYS, not EPERM, for calls that are newer than the profile, as runc does.

    At ENOSYS a C library falls back on the older call; at EPERM it gives up.
    """
    if default & 0xFFFF_0000 == bpf.ERRNO:
        return bpf.ERRNO | errno.ENOSYS
    return None


def _answer(action: Place, number: Place) -> int:
    answer = action.one_of(ACTIONS)
    if answer in (bpf.ERRNO, bpf.TRACE):
        return answer | number.number(errno.EPERM, 0, _MOST_ERRNO)
    if number.value is not None:
        number.refuse(f"is an error number, and {action.value} has none")
    return answer


def _rules(place: Place) -> list[Rule]:
    """Read one rule. Two conditions on the same argument mean "either", as with runc."""
    names = place.get("names").texts()
    if not names:
        place.get("names").refuse("names no system call")
    answer = _answer(place.get("action"), place.get("errnoRet"))
    conditions = place.get("args").each(_condition)
    if len({one.index for one in conditions}) < len(conditions):
        return [Rule(names, answer, (one,)) for one in conditions]
    return [Rule(names, answer, conditions)]


def _condition(place: Place) -> Condition:
    index = place.get("index").number(0, 0, 5)
    operator = place.get("op").one_of(OPERATORS)
    value, second = place.get("value").number(0), place.get("valueTwo").number(0)
    if operator is Operator.MASKED_EQ:
        return Condition(index, operator, second, mask=value)
    return Condition(index, operator, value)
