"""A filter that is too long for one program of the kernel, as several that mean the same together.

The kernel asks all filters of a process about each system call, and the most restrictive answer
counts (seccomp(2)). ALLOW is the least restrictive one. So each program here decides about some of
the calls as the whole filter does, and allows all others. A single call with very many rules is
divided by the values of one argument in the same way.

The programs are to be loaded in their order: the last one decides about seccomp(2) itself, which
the others must not forbid, and about all calls that wait for a supervisor, since the kernel gives a
process only one listener (seccomp_unotify(2)).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from minirt.kernel.seccomp import INSTRUCTION, MOST_INSTRUCTIONS, MOST_TOGETHER
from minirt.kernel.seccomp_compiler import (
    ALLOW,
    USER_NOTIF,
    Condition,
    ConditionalRule,
    Decision,
    Filter,
    Operator,
    Ranges,
    assemble,
    ranges_of,
)
from minirt.kernel.syscall_tables import ARCHITECTURES, native

_EACH = 4  # what each further filter costs there
_PROLOGUE = 3  # instructions that the kernel puts before each program
_RETURN, _JUMPS = 0x06, (0x15, 0x25, 0x35)
_PASS: Decision = ((), ALLOW)
_Unit = tuple[str, int]  # a range of calls: its architecture, and its place in the list of ranges


class TooLarge(Exception):
    """The filter does not fit into the kernel's limits; the text says into which."""


def compile_filters(
    wanted: Filter, tables: Mapping[str, Mapping[str, int]], most: int = MOST_INSTRUCTIONS
) -> tuple[bytes, ...]:
    """Compile a filter into programs of at most ``most`` instructions, in the order of loading.

    Raises TooLarge.
    """
    ranges = ranges_of(wanted, tables)
    program = assemble(wanted, ranges)
    _check(loaded_size([program]))
    if _fits(program, most):
        return (program,)
    programs = tuple(_split(wanted, ranges, tables, most))
    _check(loaded_size(programs))
    return programs


def loaded_size(programs: tuple[bytes, ...] | list[bytes]) -> int:
    """Return how many of the kernel's MOST_TOGETHER instructions the programs use.

    The kernel counts after it has translated them into extended BPF: bpf_convert_filter() of
    net/core/filter.c. A return becomes two instructions, and so does a jump that leads away in both
    cases; a comparison with a constant above 2**31 needs one more.
    """
    return sum(_PROLOGUE + _EACH + _translated(program) for program in programs) - _EACH


def _translated(program: bytes) -> int:
    count = len(program) // INSTRUCTION
    for code, if_true, if_false, constant in struct.iter_unpack("=HBBI", program):
        if code in _JUMPS:
            count += bool(if_true and if_false) + (constant >> 31)
        elif code == _RETURN:
            count += 1
    return count


def _check(size: int) -> None:
    if size > MOST_TOGETHER:
        raise TooLarge(
            f"it takes {size} instructions, and the kernel allows {MOST_TOGETHER} in all filters "
            "of a process together"
        )


def _fits(program: bytes, most: int) -> bool:
    return len(program) <= most * INSTRUCTION


def _split(
    wanted: Filter, ranges: Ranges, tables: Mapping[str, Mapping[str, int]], most: int
) -> list[bytes]:
    program = assemble(wanted, ranges)
    if _fits(program, most):
        return [program]
    units = [
        (name, place)
        for name, found in ranges.items()
        for place, (_, decision) in enumerate(found)
        if decision != _PASS
    ]
    last = [unit for unit in units if _must_be_last(unit, ranges, tables)]
    others = [unit for unit in units if unit not in last]
    groups = [*([unit] for unit in others), *([last] if last else [])]
    if len(groups) > 1:
        count = _half(groups, ranges)
        parts = [_only(ranges, groups[:count]), _only(ranges, groups[count:])]
    elif last:
        raise TooLarge(
            f"the rules about seccomp(2) itself, and those with SCMP_ACT_NOTIFY, must be in one "
            f"filter, and the kernel allows {most} instructions in one"
        )
    else:
        parts = _halves_of_call(wanted, ranges, others[0], most)
    return [program for part in parts for program in _split(wanted, part, tables, most)]


def _must_be_last(unit: _Unit, ranges: Ranges, tables: Mapping[str, Mapping[str, int]]) -> bool:
    """Say whether a range has the call that loads filters, or calls that wait for a supervisor."""
    name, place = unit
    first, (rules, answer) = ranges[name][place]
    if USER_NOTIF in (answer, *(of_rule for _, of_rule in rules)):
        return True
    if name != native() or first > tables[name]["seccomp"]:
        return False
    return place + 1 == len(ranges[name]) or tables[name]["seccomp"] < ranges[name][place + 1][0]


def _half(groups: list[list[_Unit]], ranges: Ranges) -> int:
    """Return how many of the groups have half of all conditions, but neither none nor all."""
    weights = [sum(_weight(ranges[name][place][1]) for name, place in group) for group in groups]
    sum_, half = 0, sum(weights) / 2
    for count, weight in enumerate(weights[:-1]):
        sum_ += weight
        if sum_ > half:
            return max(count, 1)
    return len(groups) - 1


def _weight(decision: Decision) -> int:
    return 1 + sum(len(conditions) for conditions, _ in decision[0])


def _only(ranges: Ranges, groups: list[list[_Unit]]) -> Ranges:
    """Return the decisions of these ranges; all other calls are allowed."""
    kept = {unit for group in groups for unit in group}
    return {
        name: _joined(
            [
                (first, decision if (name, place) in kept else _PASS)
                for place, (first, decision) in enumerate(found)
            ]
        )
        for name, found in ranges.items()
    }


def _joined(ranges: list[tuple[int, Decision]]) -> list[tuple[int, Decision]]:
    """Join neighbours with the same decision."""
    joined = ranges[:1]
    for first, decision in ranges[1:]:
        if decision != joined[-1][1]:
            joined.append((first, decision))
    return joined


def _halves_of_call(wanted: Filter, ranges: Ranges, unit: _Unit, most: int) -> list[Ranges]:
    """Divide the rules of one range of calls by the values that they compare an argument with."""
    name, place = unit
    first, (rules, answer) = ranges[name][place]
    mask = (1 << ARCHITECTURES[name].bits) - 1
    index, values = _most_compared(rules, mask)
    middle = values[len(values) // 2] if values else 0
    below = tuple(rule for rule in rules if all(v < middle for v in _values(rule, index, mask)))
    above = tuple(rule for rule in rules if all(v >= middle for v in _values(rule, index, mask)))
    both = tuple(rule for rule in rules if not _values(rule, index, mask))

    def part(decided: tuple[ConditionalRule, ...]) -> Ranges:
        decisions = list(ranges[name])
        decisions[place] = (first, (decided, answer))
        return {**ranges, name: decisions}

    if len(values) < 2 or not _fits(assemble(wanted, part(both)), most // 2):
        raise TooLarge(
            f"the rules about one system call can not be divided by the values of an argument, "
            f"and the kernel allows {most} instructions in one filter"
        )
    elsewhere = [
        ((Condition(index, operator, middle),), ALLOW) for operator in (Operator.GE, Operator.LT)
    ]
    return [part((elsewhere[0], *below)), part((elsewhere[1], *above))]


def _most_compared(rules: tuple[ConditionalRule, ...], mask: int) -> tuple[int, list[int]]:
    """Return the argument that must equal the most different values, and these values in order."""
    found = [
        sorted({value for rule in rules for value in _values(rule, index, mask)})
        for index in range(6)
    ]
    index = max(range(6), key=lambda index: len(found[index]))
    return index, found[index]


def _values(rule: ConditionalRule, index: int, mask: int) -> list[int]:
    """Return the values that an argument must equal for a rule to fit."""
    return [
        condition.value & mask
        for condition in rule[0]
        if condition.index == index and condition.operator is Operator.EQ
    ]
