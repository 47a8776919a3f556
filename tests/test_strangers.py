"""What to type instead of a command that minirt doesn't have: each advice can be followed."""

from __future__ import annotations

import re

import pytest

from minirt import cli
from minirt.commands import strangers
from minirt.commands.verbs import GROUPS, NETWORK_VERBS, VERBS


@pytest.mark.parametrize(
    ("word", "advice"),
    [
        ("images", "minirt image ls"),
        ("rmi", "minirt image rm"),
        ("container", "minirt ps"),
        ("pull", "minirt image load"),
        ("netwrok", "minirt network"),
        ("exce", "minirt exec"),
        ("frobnicate", ""),
    ],
)
def test_what_other_engines_call_it(word: str, advice: str) -> None:
    said = strangers.instead(word, VERBS)
    assert advice in said
    assert bool(advice) == bool(said)


def test_verbs_of_groups_too() -> None:
    assert strangers.instead("list", NETWORK_VERBS, "network") == "minirt network ls"
    assert strangers.instead("conect", NETWORK_VERBS, "network") == "minirt network connect"


@pytest.mark.parametrize("word", strangers._ELSEWHERE)
def test_advice_names_commands_that_exist(word: str) -> None:
    assert word not in VERBS
    for group, verb in re.findall(r"minirt (\w+)(?: (\w+))?", strangers.instead(word, VERBS)):
        assert group in VERBS
        assert not verb or verb in GROUPS.get(group, {}) or verb == "images"


@pytest.mark.parametrize("words", [[], ["network"], ["image"]])
def test_who_types_nothing_else_sees_the_help(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(words) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith(" ".join(["Usage: minirt", *words]))
    assert shown.err == ""
