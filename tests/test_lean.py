"""Verbs of many flags understand the same as click alone would."""

from __future__ import annotations

from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirt import cli
from minirt.commands import verbs
from minirt.commands.lean import Lean

VERBS = ("run", "create", "exec")


def lean(verb: str) -> Lean:
    command = verbs.load(verb)
    assert isinstance(command, Lean)
    return command


def understood(command: click.Command, words: list[str], *, by_click: bool) -> Any:
    """Return what a command understands: values and the rest, or what it does not."""
    context = click.Context(command, info_name=command.name, **command.context_settings)
    parse = click.Command.parse_args if by_click else type(command).parse_args
    try:
        rest = parse(command, context, list(words))
    except click.ClickException as error:
        return type(error), error.format_message()
    return context.params, rest


def words_of(verb: str) -> st.SearchStrategy[list[str]]:
    """Return words that this verb may meet: flags in each form, values, and nonsense."""
    flags = st.sampled_from(sorted(lean(verb).flags))
    value = st.sampled_from(
        ["", "a", "1", "8080:80", "-1", "-x", "K=V", "--", "-", "--rm", "=", "é"]
    )
    letters = st.text("itdephmPvuwlc", min_size=1, max_size=4).map("-{}".format)
    word = st.one_of(
        flags,
        value,
        letters,
        st.tuples(flags, value).map("=".join),
        st.tuples(flags, value).map("".join),
        st.sampled_from(["--no-such-flag", "--nam", "-Z", "busybox", "sh", "-c"]),
    )
    return st.lists(word, max_size=8)


@pytest.mark.parametrize("verb", VERBS)
@given(data=st.data())
def test_it_understands_what_click_does(verb: str, data: st.DataObject) -> None:
    words = data.draw(words_of(verb))
    command = lean(verb)
    assert understood(command, words, by_click=False) == understood(command, words, by_click=True)


@pytest.mark.parametrize("verb", VERBS)
def test_what_is_not_typed_is_not_looked_at(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    command, seen = lean(verb), []
    command.get_ready()
    look = click.Parameter.handle_parse_result

    def counted(self: click.Parameter, *words: Any) -> Any:
        seen.append(self)
        return look(self, *words)

    monkeypatch.setattr(click.Parameter, "handle_parse_result", counted)
    understood(command, ["-t", "--env=K=V", "-eA=B", "box", "sh", "-c", "x"], by_click=False)
    assert {one.name for one in seen if one in command.flags.values()} == {"tty", "env"}


def test_what_nobody_has_typed_is_each_time_the_same() -> None:
    command = lean("run")
    first = understood(command, ["--name", "a", "box"], by_click=False)
    assert understood(command, ["box"], by_click=False)[0]["name"] == ""
    assert understood(command, ["--name", "a", "box"], by_click=False) == first


@given(
    words=st.lists(
        st.sampled_from(
            [
                "--root",
                "--root=/a",
                "--explain",
                "--time",
                "--no",
                "-x",
                "/b",
                "",
                "ps",
                "run",
                "-a",
            ]
        ),
        min_size=1,
        max_size=5,
    )
)
def test_so_does_what_stands_before_the_verb(words: list[str]) -> None:
    found: list[object] = []
    for parse in (click.Group.parse_args, type(cli.root).parse_args):
        context = click.Context(cli.root, **cli.root.context_settings)
        try:
            rest = parse(cli.root, context, list(words))
        except click.ClickException as error:
            found.append((type(error), error.format_message()))
        else:
            found.append((context.params, rest, context.args))
    assert found[0] == found[1]
