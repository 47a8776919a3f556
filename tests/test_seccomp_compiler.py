from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from minirt.kernel import seccomp_compiler as bpf
from minirt.kernel import syscall_tables
from minirt.kernel.seccomp import INSTRUCTION, MOST_INSTRUCTIONS
from minirt.kernel.seccomp_compiler import Condition, Filter, Operator, Rule, compile_filter
from minirt.kernel.syscall_tables import ARCHITECTURES, X32_BIT
from tests.bpf_machine import run

TABLES = syscall_tables.load()
NAMES = ["read", "write", "socket", "clone", "personality", "socketcall", "ioctl", "mount", "mseal"]
ANSWERS = [bpf.ALLOW, bpf.ERRNO | 1, bpf.ERRNO | 38, bpf.TRAP, bpf.LOG, bpf.KILL_THREAD]
EDGES = [0, 1, 2, 0x5412, 2**31, 2**32 - 1, 2**32, 2**32 + 1, 2**33 + 5, 2**63, 2**64 - 1]

words = st.sampled_from(EDGES) | st.integers(0, 2**64 - 1) | st.integers(0, 8)
conditions = st.builds(
    Condition, st.integers(0, 5), st.sampled_from(Operator), words, mask=words
).map(lambda one: one if one.operator is Operator.MASKED_EQ else plain(one))
rules = st.builds(
    Rule,
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map(tuple),
    st.sampled_from(ANSWERS),
    st.lists(conditions, max_size=3).map(tuple),
)
filters = st.builds(
    Filter,
    default=st.sampled_from(ANSWERS),
    architectures=st.sampled_from([("x86_64",), ("x86_64", "x32", "i386"), ("aarch64", "arm")]),
    rules=st.lists(rules, max_size=6).map(tuple),
    unknown=st.sampled_from([None, bpf.ERRNO | 38]),
)


def plain(one: Condition) -> Condition:
    return Condition(one.index, one.operator, one.value)


def holds(one: Condition, argument: int, bits: int) -> bool:
    """What the words of the OCI specification mean, on an architecture with such arguments."""
    word = (1 << bits) - 1
    left, right = argument & word, one.value & word
    return {
        Operator.EQ: left == right,
        Operator.NE: left != right,
        Operator.LT: left < right,
        Operator.LE: left <= right,
        Operator.GT: left > right,
        Operator.GE: left >= right,
        Operator.MASKED_EQ: left & one.mask == right & one.mask,
    }[one.operator]


def decide(one: Filter, name: str, bits: int, arguments: list[int]) -> int:
    about = [rule for rule in one.rules if name in rule.names]
    for rule in about:
        fits = all(holds(each, arguments[each.index], bits) for each in rule.conditions)
        if rule.conditions and fits:
            return rule.answer
    return next((rule.answer for rule in about if not rule.conditions), one.default)


@settings(max_examples=300, deadline=None)
@given(filters, st.lists(words, min_size=6, max_size=6), st.data())
def test_a_program_decides_as_its_rules_say(
    one: Filter, arguments: list[int], data: st.DataObject
) -> None:
    program = compile_filter(one, TABLES)
    assert len(program) <= INSTRUCTION * MOST_INSTRUCTIONS
    near = [each.value for rule in one.rules for each in rule.conditions]
    if near:  # Arguments at the borders of the conditions find more than random ones.
        close = st.sampled_from(near) | words
        arguments = data.draw(st.lists(close, min_size=6, max_size=6))
    for name in one.architectures:
        architecture = ARCHITECTURES[name]
        for call in NAMES:
            if call in TABLES[name]:
                answer = run(program, architecture.word, TABLES[name][call], arguments)
                assert answer == decide(one, call, architecture.bits, arguments), (name, call)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_jumps_reach_however_large_the_program_is(data: st.DataObject) -> None:
    names = sorted(TABLES["x86_64"])
    drawn = st.lists(conditions, min_size=1, max_size=2).map(tuple)
    some = [
        Rule((name,), data.draw(st.sampled_from(ANSWERS)), data.draw(drawn))
        for name in names[:: data.draw(st.integers(2, 9))]
    ]
    one = Filter(bpf.ERRNO | 1, ("x86_64",), tuple(some))
    program = compile_filter(one, TABLES)
    arguments = data.draw(st.lists(words, min_size=6, max_size=6))
    for name in names:
        answer = run(program, ARCHITECTURES["x86_64"].word, TABLES["x86_64"][name], arguments)
        assert answer == decide(one, name, 64, arguments), name


ALLOW_ALL = Filter(bpf.ALLOW, ("x86_64",), (), unknown=bpf.ERRNO | 38)
X86_64, I386 = ARCHITECTURES["x86_64"].word, ARCHITECTURES["i386"].word


def test_a_way_in_that_is_not_filtered_kills() -> None:
    program = compile_filter(ALLOW_ALL, TABLES)
    assert run(program, X86_64, 0) == bpf.ALLOW
    assert run(program, I386, 3) == bpf.KILL_PROCESS
    assert run(program, ARCHITECTURES["aarch64"].word, 63) == bpf.KILL_PROCESS
    assert run(program, X86_64, X32_BIT) == bpf.KILL_PROCESS


def test_a_call_that_a_tracer_skips_gets_the_default() -> None:
    assert run(compile_filter(ALLOW_ALL, TABLES), X86_64, 0xFFFF_FFFF) == bpf.ALLOW


def test_calls_newer_than_the_tables_are_unknown_and_gaps_in_them_are_not() -> None:
    program = compile_filter(ALLOW_ALL, TABLES)
    newest = max(TABLES["x86_64"].values())
    assert run(program, X86_64, newest) == bpf.ALLOW
    assert run(program, X86_64, newest + 1) == bpf.ERRNO | 38
    assert run(program, X86_64, 400) == bpf.ALLOW


def test_private_calls_of_arm_are_not_newer_than_the_tables() -> None:
    one = Filter(bpf.ERRNO | 1, ("aarch64", "arm"), (Rule(("set_tls",), bpf.ALLOW),), 0x50026)
    program = compile_filter(one, TABLES)
    word = ARCHITECTURES["arm"].word
    assert run(program, word, TABLES["arm"]["set_tls"]) == bpf.ALLOW
    assert run(program, word, TABLES["arm"]["mseal"] + 1) == 0x50026
    assert run(program, word, TABLES["arm"]["mseal"]) == bpf.ERRNO | 1


def test_a_condition_is_not_forgotten_beside_a_rule_without_one() -> None:
    ban = Rule(("socket",), bpf.ERRNO | 1, (Condition(0, Operator.EQ, 38),))
    one = Filter(bpf.ERRNO | 1, ("x86_64",), (Rule(("socket",), bpf.ALLOW), ban))
    program = compile_filter(one, TABLES)
    assert run(program, X86_64, TABLES["x86_64"]["socket"], [2]) == bpf.ALLOW
    assert run(program, X86_64, TABLES["x86_64"]["socket"], [38]) == bpf.ERRNO | 1
