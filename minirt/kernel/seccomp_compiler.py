"""From rules on system calls to the program that seccomp(2) loads.

The program first asks for the architecture: the same number means another call on each, so
a way in that is not filtered kills. Then it looks for the call's number in a binary tree of
ranges with the same decision, and last, where a decision depends on them, at the arguments.
The kernel runs all of it at every call, and remembers the answers that depend on no argument.

Of the rules that fit a call, those with conditions come first, in their order; then the first
without any; then the default. (libseccomp forgets the conditions of a call that also has
a rule without: then "allow socket, but not with family 38" would allow it.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import groupby

from minirt.kernel.bpf_assembler import EQUAL, GREATER, GREATER_OR_EQUAL, Backwards
from minirt.kernel.syscall_tables import ARCHITECTURES, X32_BIT, Architecture, newest

# include/uapi/linux/seccomp.h: what a filter answers.
KILL_PROCESS, KILL_THREAD, TRAP, ERRNO = 0x8000_0000, 0, 0x0003_0000, 0x0005_0000
USER_NOTIF, TRACE, LOG, ALLOW = 0x7FC0_0000, 0x7FF0_0000, 0x7FFC_0000, 0x7FFF_0000

# struct seccomp_data: nr, arch, instruction_pointer, args[6]; the low word of an argument first.
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_SKIPPED = 0xFFFF_FFFF  # the number that a tracer writes to skip a call (ptrace(2))


class Operator(Enum):
    """How a condition compares an argument."""

    EQ, NE, LT, LE, GT, GE, MASKED_EQ = range(7)


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on one argument; MASKED_EQ: (argument & mask) == value."""

    index: int  # 0 to 5
    operator: Operator
    value: int
    mask: int = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Rule:
    """An answer for calls with these names, if all conditions hold."""

    names: tuple[str, ...]
    answer: int
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Filter:
    """A whole filter. ``unknown``: the answer to calls newer than our tables; None: the default."""

    default: int
    architectures: tuple[str, ...]
    rules: tuple[Rule, ...]
    unknown: int | None = None


ConditionalRule = tuple[tuple[Condition, ...], int]
# The conditional rules of a call, and the answer if none fits.
Decision = tuple[tuple[ConditionalRule, ...], int]
# For each architecture the first number of each range of calls with the same decision.
Ranges = Mapping[str, list[tuple[int, Decision]]]


def compile_filter(one: Filter, tables: Mapping[str, Mapping[str, int]]) -> bytes:
    """Compile a filter into one program, of whatever length.

    Names that an architecture doesn't have are nothing to it.
    """
    return assemble(one, ranges_of(one, tables))


def ranges_of(one: Filter, tables: Mapping[str, Mapping[str, int]]) -> Ranges:
    """Return what a filter decides about each system call of its architectures."""
    return {name: _ranges(one, ARCHITECTURES[name], tables[name]) for name in one.architectures}


def assemble(one: Filter, ranges: Ranges) -> bytes:
    """Return the program of a filter for these decisions."""
    program = Backwards()
    entries: dict[int, list[tuple[Architecture, int]]] = {}
    for name in one.architectures:
        architecture = ARCHITECTURES[name]
        tree = _tree(program, architecture, ranges[name])
        entries.setdefault(architecture.word, []).append((architecture, tree))
    otherwise = program.answer(KILL_PROCESS)
    for word, found in entries.items():
        entry = _entry(program, one, word, {each.name: tree for each, tree in found})
        otherwise = program.jump(EQUAL, word, entry, otherwise)
    program.go(otherwise)
    program.load(_ARCHITECTURE)
    return program.bytes()


def _entry(program: Backwards, one: Filter, word: int, trees: dict[str, int]) -> int:
    """Begin with an architecture: load the number, and tell x32 from x86_64 by its bit."""
    if word == ARCHITECTURES["x86_64"].word:
        own = trees.get("x86_64")
        own = program.answer(KILL_PROCESS) if own is None else own
        other = trees.get("x32")
        other = program.answer(KILL_PROCESS) if other is None else other
        skipped = program.answer(one.default)
        program.jump(GREATER_OR_EQUAL, X32_BIT, other, own)
        program.jump(EQUAL, _SKIPPED, skipped, len(program) - 1)
    else:
        (tree,) = trees.values()
        program.go(tree)
    return program.load(_NUMBER)


def _ranges(
    one: Filter, architecture: Architecture, table: Mapping[str, int]
) -> list[tuple[int, Decision]]:
    """Return the first number of each range of calls with the same decision."""
    decisions = _decisions(one, table)
    default: Decision = ((), one.default)
    ranges = [(architecture.base, default)]
    points = {number: decisions.get(number, default) for number in table.values()}
    for number in table.values():
        points.setdefault(number + 1, default)
    if one.unknown is not None:
        points[newest(architecture, table) + 1] = ((), one.unknown)
    for number in sorted(points):
        if ranges[-1][0] == number:
            ranges.pop()
        if not ranges or ranges[-1][1] != points[number]:
            ranges.append((number, points[number]))
    return ranges


def _decisions(one: Filter, table: Mapping[str, int]) -> dict[int, Decision]:
    conditional: dict[int, list[tuple[tuple[Condition, ...], int]]] = {}
    plain: dict[int, int] = {}
    for rule in one.rules:
        for number in {table[name] for name in rule.names if name in table}:
            if rule.conditions:
                conditional.setdefault(number, []).append((rule.conditions, rule.answer))
            else:
                plain.setdefault(number, rule.answer)
    return {
        number: (tuple(conditional.get(number, ())), plain.get(number, one.default))
        for number in plain.keys() | conditional.keys()
    }


def _tree(
    program: Backwards, architecture: Architecture, ranges: list[tuple[int, Decision]]
) -> int:
    """Find the range of the loaded number: the upper half stands behind the lower."""
    if len(ranges) == 1:
        return _decide(program, architecture, ranges[0][1])
    middle = len(ranges) // 2
    upper = _tree(program, architecture, ranges[middle:])
    lower = _tree(program, architecture, ranges[:middle])
    return program.jump(GREATER_OR_EQUAL, ranges[middle][0], upper, lower)


def _decide(program: Backwards, architecture: Architecture, decision: Decision) -> int:
    rules, answer = decision
    place = program.answer(answer)
    groups = [(index, list(some)) for index, some in groupby(rules, _index_of_value)]
    for index, some in reversed(groups):
        if index is not None:
            place = _look_up(program, architecture, index, some, place)
            continue
        for conditions, if_all in reversed(some):
            place = program.go(place)  # near, for the many jumps that a comparison can need
            otherwise, place = place, program.answer(if_all)
            for one in reversed(conditions):
                place = _compare(program, architecture, one, place, otherwise)
    return place


def _index_of_value(rule: ConditionalRule) -> int | None:
    """Return the argument of a rule whose only condition is that it equals a value, else None."""
    conditions, _ = rule
    if len(conditions) == 1 and conditions[0].operator is Operator.EQ:
        return conditions[0].index
    return None


def _look_up(
    program: Backwards,
    architecture: Architecture,
    index: int,
    rules: list[ConditionalRule],
    otherwise: int,
) -> int:
    """Compare an argument with the values of several rules: it is loaded only once for them all."""
    offset = _ARGUMENTS + 8 * index
    answers: dict[int, dict[int, int]] = {}  # high word -> low word -> answer
    for (one,), answer in rules:
        high = one.value >> 32 if architecture.bits == 64 else 0
        answers.setdefault(high, {}).setdefault(one.value & 0xFFFF_FFFF, answer)
    place = otherwise = program.go(otherwise)
    for high, of_low in reversed(answers.items()):
        next_high, place = place, otherwise
        for low, answer in reversed(of_low.items()):
            place = program.jump(EQUAL, low, program.answer(answer), place)
        place = program.load(offset)
        if architecture.bits == 64:
            place = program.jump(EQUAL, high, place, next_high)
    return program.load(offset + 4) if architecture.bits == 64 else place


def _compare(
    program: Backwards, architecture: Architecture, one: Condition, yes: int, no: int
) -> int:
    """Compare one argument: the high word first, where there is one."""
    opposite = {Operator.NE: Operator.EQ, Operator.LT: Operator.GE, Operator.LE: Operator.GT}
    operator = one.operator
    if operator in opposite:
        operator, yes, no = opposite[operator], no, yes
    test = {Operator.GT: GREATER, Operator.GE: GREATER_OR_EQUAL}.get(operator, EQUAL)
    offset = _ARGUMENTS + 8 * one.index
    place = _compare_word(program, offset, test, one, 0, (yes, no))
    if architecture.bits == 32:
        return place
    if test == EQUAL:
        if one.mask >> 32 == 0:
            return place
        return _compare_word(program, offset + 4, EQUAL, one, 32, (place, no))
    high = one.value >> 32
    program.jump(EQUAL, high, place, no)
    program.jump(GREATER, high, yes, len(program) - 1)
    return program.load(offset + 4)


def _compare_word(
    program: Backwards, offset: int, test: int, one: Condition, shift: int, ways: tuple[int, int]
) -> int:
    mask = one.mask >> shift & 0xFFFF_FFFF
    program.jump(test, (one.value & one.mask) >> shift & 0xFFFF_FFFF, *ways)
    if mask != 0xFFFF_FFFF:
        program.keep(mask)
    return program.load(offset)
