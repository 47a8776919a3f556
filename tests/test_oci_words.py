from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirt.errors import InvalidRequest
from minirt.oci import OCI_VERSION, main
from minirt.oci.command_line import GLOBAL, VERBS, help_of, options_of
from minirt.oci.words import Asked, Option, take_options

OPTIONS = (
    Option("all a", "", "a switch"),
    Option("bundle b", "PATH", "a value"),
    Option("env e", "NAME=VALUE", "many", many=True),
)


def asked(*words: str, anywhere: bool = False) -> Asked:
    values, left = take_options(list(words), OPTIONS, anywhere=anywhere)
    return Asked("verb", values, left)


@pytest.mark.parametrize(
    "words",
    [
        ("--bundle", "x"),
        ("--bundle=x",),
        ("-b", "x"),
        ("-b=x",),
        ("-bundle", "x"),
        ("--bundle", "y", "--bundle", "x"),
        ("-bx",),
        ("-abx",),
        ("-ab", "x"),
    ],
)
def test_a_value_may_be_written_in_any_way_that_go_reads(words: tuple[str, ...]) -> None:
    assert asked(*words, "id").text("bundle") == "x"
    assert asked(*words, "id").words == ["id"]


@pytest.mark.parametrize(
    ("words", "value"),
    [(("--all",), True), (("-a",), True), (("--all=true",), True), (("--all=false",), False)],
)
def test_a_switch_may_say_false(words: tuple[str, ...], value: bool) -> None:
    assert asked(*words).flag("all") is value


def test_options_end_at_the_first_other_word() -> None:
    found = asked("-a", "id", "sh", "-b", "--nonsense")
    assert found.words == ["id", "sh", "-b", "--nonsense"]
    assert not found.has("bundle")


@pytest.mark.parametrize(
    "words",
    [
        ("id", "--bundle", "x", "-a"),
        ("id", "-b=x", "--all"),
        ("-a", "id", "-bundle", "x"),
        ("-ab", "x", "id"),
        ("id", "-abx"),
    ],
)
def test_options_may_follow_the_id_unless_a_command_does(words: tuple[str, ...]) -> None:
    found = asked(*words, anywhere=True)
    assert found.words == ["id"]
    assert (found.flag("all"), found.text("bundle")) == (True, "x")


def test_behind_the_id_an_unknown_option_is_an_argument() -> None:
    assert asked("id", "-9", anywhere=True).words == ["id", "-9"]
    with pytest.raises(InvalidRequest):
        asked("-9", "id", anywhere=True)


def test_two_dashes_end_options_also_behind_the_id() -> None:
    found = asked("id", "--", "-a", anywhere=True)
    assert (found.words, found.flag("all")) == (["id", "-a"], False)


@given(st.lists(st.sampled_from(["id", "-a", "-b", "x", "--bundle=x", "-abx", "-9", "--", "-"])))
def test_no_argument_changes_its_place(words: list[str]) -> None:
    try:
        found = asked(*words, anywhere=True)
    except InvalidRequest:
        return
    rest = iter(words)
    assert all(word in rest for word in found.words)


def test_two_dashes_end_them_and_one_is_a_word() -> None:
    assert asked("--", "-a").words == ["-a"]
    assert asked("-", "x").words == ["-", "x"]


def test_what_repeats_is_kept_in_order_and_values_may_hold_equal_signs() -> None:
    assert asked("-e", "A=1", "--env=B=2=3").texts("env") == ["A=1", "B=2=3"]


@pytest.mark.parametrize(
    "words", [("--nonsense",), ("--bundle",), ("--all=perhaps",), ("-ab",), ("-ax",)]
)
def test_nonsense_is_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(InvalidRequest):
        asked(*words)


@given(st.lists(st.text(max_size=8), max_size=6))
def test_any_words_are_read_or_refused(words: list[str]) -> None:
    try:
        found = asked(*words)
    except InvalidRequest:
        return
    assert not found.words or words[-len(found.words) :] == found.words


def test_no_verb_has_two_options_of_one_name() -> None:
    for options in (GLOBAL, *(options_of(verb) for verb in VERBS)):
        names = [name for one in options for name in one.names]
        assert len(names) == len(set(names))


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([verb, "--help"]) == 0
    assert capsys.readouterr().out == help_of(verb)


def test_the_help_says_what_root_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--help"]) == 0
    said = capsys.readouterr().out
    assert "state" in said
    assert all(verb in said for verb in VERBS)


def test_the_version_is_said_as_callers_parse_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--version"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("minirt-oci version ")
    assert second == f"spec: {OCI_VERSION}"
