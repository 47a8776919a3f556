"""Every verb is tried on both roads: with the fork server and without."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from minirt.commands.verbs import FOR_ANYONE, GROUPS, VERBS

INTEGRATION = Path(__file__).parent.parent / "integration"
ALONE = [(verb,) for verb in VERBS if verb not in GROUPS]
IN_GROUPS = [(group, verb) for group, verbs in GROUPS.items() for verb in verbs]
# About servers themselves, or about nothing that a server could do otherwise.
ROADLESS = {("server", "status"), ("server", "stop"), *((verb,) for verb in FOR_ANYONE)}


def is_core(node: ast.AST) -> bool:
    """Say whether it names the mark."""
    return any(isinstance(one, ast.Attribute) and one.attr == "core" for one in ast.walk(node))


def words_of(node: ast.AST) -> list[tuple[str, ...]]:
    """Return what is called or collected in it: the strings that each begins with."""
    found = []
    for one in ast.walk(node):
        items = one.args if isinstance(one, ast.Call) else getattr(one, "elts", [])
        strings = [item.value for item in items[:2] if isinstance(item, ast.Constant)]
        found.append(tuple(text for text in strings if isinstance(text, str)))
    return found


@pytest.fixture(scope="module")
def tried() -> set[tuple[str, ...]]:
    """Return with what the commands of core tests begin."""
    found = set()
    for path in INTEGRATION.glob("test_*.py"):
        module = ast.parse(path.read_text())
        marks = [one for one in module.body if isinstance(one, ast.Assign) and is_core(one)]
        for test in module.body:
            if marks or any(map(is_core, getattr(test, "decorator_list", []))):
                found.update(words_of(test))
    return found | {words[:1] for words in found}


def test_every_verb_is_tried_with_and_without_the_fork_server(tried: set[tuple[str, ...]]) -> None:
    verbs = {*ALONE, *IN_GROUPS} - ROADLESS
    assert sorted(verbs - tried) == []
    assert ("network", "frobnicate") not in tried  # The control: what no test calls is seen.
