"""Filters that are too long for one program of the kernel."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from minirt.errors import InvalidRequest
from minirt.kernel import seccomp_compiler as bpf
from minirt.kernel import syscall_tables
from minirt.kernel.seccomp import INSTRUCTION, MOST_INSTRUCTIONS, MOST_TOGETHER
from minirt.kernel.seccomp_compiler import Condition, Filter, Operator, Rule, compile_filter
from minirt.kernel.seccomp_splitting import TooLarge, compile_filters, loaded_size
from minirt.kernel.syscall_tables import ARCHITECTURES
from minirt.runtime import seccomp_programs
from tests.bpf_machine import run, run_all
from tests.test_seccomp_compiler import NAMES, TABLES, filters, words

NATIVE = syscall_tables.native()
WORD = ARCHITECTURES[NATIVE].word


def number_of(name: str) -> int:
    return TABLES[NATIVE][name]


def rules_for_values(names: Iterable[str], count: int, action: str) -> list[dict[str, Any]]:
    """Return ``count`` rules about each of these calls, each for another value of argument 0.

    The first call has 0, 1, 2 …, and the calls have different values.
    """
    return [
        {
            "names": [name],
            "action": action,
            "args": [{"index": 0, "value": value + count * place, "op": "SCMP_CMP_EQ"}],
        }
        for value in range(count)
        for place, name in enumerate(names)
    ]


@settings(max_examples=300, deadline=None)
@given(filters, st.integers(12, 60), st.data())
def test_programs_decide_together_as_the_whole_filter(
    one: Filter, most: int, data: st.DataObject
) -> None:
    whole = compile_filter(one, TABLES)
    try:
        programs = compile_filters(one, TABLES, most)
    except TooLarge:
        assume(False)
        raise
    assert max(map(len, programs)) <= most * INSTRUCTION
    near = [each.value for rule in one.rules for each in rule.conditions]
    drawn = st.sampled_from(near) | words if near else words
    arguments = data.draw(st.lists(drawn, min_size=6, max_size=6))
    for name in one.architectures:
        for call in (*NAMES, "seccomp"):
            if call in TABLES[name]:
                asked = (ARCHITECTURES[name].word, TABLES[name][call], arguments)
                assert run_all(programs, *asked) == run(whole, *asked), (name, call)


@pytest.mark.parametrize(
    ("default", "action"),
    [
        ("SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"),
        ("SCMP_ACT_ERRNO", "SCMP_ACT_ALLOW"),
        ("SCMP_ACT_KILL", "SCMP_ACT_LOG"),
    ],
)
@pytest.mark.parametrize("spread", [False, True])
def test_20000_rules_become_several_programs_in_little_time(
    default: str, action: str, spread: bool
) -> None:
    names = sorted(TABLES[NATIVE])[:200] if spread else ["personality"]
    rules = rules_for_values(names, 20_000 // len(names), action)
    before = time.process_time()
    programs = seccomp_programs.compile_rules({"defaultAction": default, "syscalls": rules})
    assert time.process_time() - before < 5  # 0.3 s; libseccomp 2.6 takes 7, or minutes
    assert 5 <= len(programs) <= 10
    assert max(map(len, programs)) <= MOST_INSTRUCTIONS * INSTRUCTION
    answers = {"SCMP_ACT_ALLOW": bpf.ALLOW, "SCMP_ACT_ERRNO": bpf.ERRNO | 1}
    answers |= {"SCMP_ACT_KILL": bpf.KILL_THREAD, "SCMP_ACT_LOG": bpf.LOG}
    count = 20_000 // len(names)
    for place in (0, len(names) - 1):
        number, first = number_of(names[place]), count * place
        for value in (first, first + count // 2, first + count - 1):
            assert run_all(programs, WORD, number, [value]) == answers[action]
        for value in (first - 1, first + count, first + (1 << 32)):
            assert run_all(programs, WORD, number, [value % (1 << 64)]) == answers[default]


def test_the_last_program_alone_refuses_what_loads_filters() -> None:
    rules = rules_for_values(sorted(TABLES[NATIVE])[:50], 200, "SCMP_ACT_ALLOW")
    programs = seccomp_programs.compile_rules(
        {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules}
    )
    assert len(programs) > 2
    answers = [run(one, WORD, number_of("seccomp")) for one in programs]
    assert answers == [bpf.ALLOW] * (len(programs) - 1) + [bpf.ERRNO | 1]


def test_the_last_program_alone_asks_the_supervisor() -> None:
    rules = rules_for_values(sorted(TABLES[NATIVE])[:50], 200, "SCMP_ACT_ERRNO")
    asked = ("read", "mkdir", "uname")
    rules.append({"names": asked, "action": "SCMP_ACT_NOTIFY"})
    programs = seccomp_programs.compile_rules(
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}
    )
    assert len(programs) > 2
    for name in asked:
        answers = [run(one, WORD, number_of(name), [1 << 20]) for one in programs]
        assert answers == [bpf.ALLOW] * (len(programs) - 1) + [bpf.USER_NOTIF]


def compared(operator: str, count: int) -> list[dict[str, Any]]:
    """Return rules that no value of an argument divides."""
    args = {"index": 0, "op": operator, "valueTwo": 1}
    return [
        {"names": ["personality"], "action": "SCMP_ACT_ERRNO", "args": [{**args, "value": 2 << n}]}
        for n in range(count)
    ]


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        (rules_for_values(["personality"], 40_000, "SCMP_ACT_ERRNO"), f"{MOST_TOGETHER} in all"),
        (compared("SCMP_CMP_MASKED_EQ", 60) * 20, "can not be divided"),
        (rules_for_values(["read"], 5000, "SCMP_ACT_NOTIFY"), "SCMP_ACT_NOTIFY, must be in one"),
        (rules_for_values(["seccomp"], 5000, "SCMP_ACT_ERRNO"), "seccomp(2) itself"),
    ],
    ids=["all", "one call", "supervised", "seccomp"],
)
def test_what_does_not_fit_is_refused_with_the_limit(rules: list[dict[str, Any]], why: str) -> None:
    with pytest.raises(InvalidRequest, match=r"linux\.seccomp is too large") as error:
        seccomp_programs.compile_rules({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules})
    assert why in str(error.value)
    assert "fewer rules" in str(error.value)


def test_rules_that_both_halves_of_a_call_need_do_not_make_it_take_long() -> None:
    shared = [Rule(("read",), bpf.TRAP, (Condition(1, Operator.GT, n),)) for n in range(1500)]
    divided = [Rule(("read",), bpf.TRAP, (Condition(0, Operator.EQ, n),)) for n in range(3000)]
    before = time.process_time()
    with pytest.raises(TooLarge, match="one system call"):
        compile_filters(Filter(bpf.ALLOW, (NATIVE,), (*shared, *divided)), TABLES)
    assert time.process_time() - before < 5


def test_the_size_of_programs_is_that_which_the_kernel_counts() -> None:
    """Measured with Linux 6.18: 3,277 filters that load a word and return fit beside each other."""
    program = bytes.fromhex("2000000000000000060000000000ff7f")
    assert loaded_size([program] * 3277) <= MOST_TOGETHER < loaded_size([program] * 3278)
    both = bytes.fromhex("1500020100000000") * 998
    program = program[:8] + both + program[:8] * 2 + program[8:]
    assert loaded_size([program] * 16) <= MOST_TOGETHER < loaded_size([program] * 17)
