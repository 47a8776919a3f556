"""Every regular expression of minirt can match a text in few ways only (CWE-1333)."""

from __future__ import annotations

import ast
import functools
import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import ambiguity

TOP = Path(__file__).resolve().parent.parent
ANCHORED = {"match", "fullmatch"}
SEARCHES = {"search", "sub", "subn", "split", "findall", "finditer"}

# Patterns that the operator types: a filter, or minirt-oci delete --regex.
OPERATORS = {"networks.py: value", "selection.py: value", "records.py: text"}
# Addresses, escaped and put together with "|".
PUT_TOGETHER = {"etc_files.py: f'^(?:{gone})\\\\t.*\\\\n?'"}
# What begins to match does match.
NEVER_FAIL = {r"[0-9]+", r"\d+", b"\1(?:\0?\1)*"}
# Those that may take the square of a text's length, and why that does no harm.
SQUARE: dict[str | bytes, tuple[str, str]] = {
    pattern: ("power", why)
    for pattern, why in {
        r"^\s+(.*\S) # handle (\d+)$": "a line of nft's",
        r"%([-+# 0]*)(\d+)?(?:\.(\d+))?(.)": "the operator's template, and any character ends it",
        r"(\{\{.*?\}\})": "the operator's template",
        r"/[^\s'\"=:,]*/containers/[0-9a-f]{64}/rootfs": "a command of our own",
        r"/[^\s'\"=:,]*/containers/[0-9a-f]{64}": "a command of our own",
        r"/[^\s'\"=:,]*/layers/[0-9a-f]{64}": "a command of our own",
        r"\b[0-9a-f]{64}\b": "a command of our own",
        r"unix:path=([^,;]+)": "a variable of the operator's",
        r"type filter .* policy (\w+);": "a list of nft's",
        r'"(\S+)" comment "([^"]+)" : ': "our own table",
        r'([0-9a-f:]{17}) comment "(\S+)"': "our own table",
    }.items()
}


@dataclass(frozen=True, slots=True)
class Use:
    """A call of re, or of a compiled pattern."""

    place: str
    pattern: str | bytes | None  # None: it is put together when it is used
    flags: int
    searches: bool


@functools.cache
def uses() -> tuple[Use, ...]:
    return tuple(_all_uses())


def _all_uses() -> Iterator[Use]:
    for file in sorted((TOP / "minirt").rglob("*.py")):
        tree = ast.parse(file.read_text())
        module = importlib.import_module(".".join(file.relative_to(TOP).with_suffix("").parts))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                yield from _uses(node, node.func, vars(module), f"{file.name}:{node.lineno}")


def _uses(
    node: ast.Call, function: ast.Attribute, names: dict[str, object], place: str
) -> Iterator[Use]:
    is_re = ast.unparse(function.value) == "re"
    if function.attr not in ANCHORED | SEARCHES | {"compile"}:
        return
    searches = function.attr in SEARCHES
    if not is_re:
        compiled = _value(function.value, names)
        if isinstance(compiled, re.Pattern):
            yield Use(place, compiled.pattern, compiled.flags, searches)
        return
    pattern = _value(node.args[0], names)
    if pattern is None:
        yield Use(f"{place.partition(':')[0]}: {ast.unparse(node.args[0])}", None, 0, searches)
        return
    assert isinstance(pattern, str | bytes)
    given = [_value(one, names) for one in (*node.args, *(one.value for one in node.keywords))]
    flags = sum(one for one in given if isinstance(one, re.RegexFlag))
    yield Use(place, pattern, flags, searches)


def _value(node: ast.expr, names: dict[str, object]) -> object:
    """Return what an expression is worth in its module; None if that is known later."""
    try:
        return eval(compile(ast.Expression(node), "", "eval"), names)
    except (NameError, AttributeError, KeyError):
        return None


growth_of = functools.cache(ambiguity.of)  # Many places have a pattern in common.


def test_there_are_patterns_to_be_looked_at() -> None:
    patterns = {use.pattern for use in uses()} - {None}
    assert len(patterns) > 50
    assert set(SQUARE) - patterns == set(), "exceptions for patterns that are not there"


def test_patterns_put_together_at_run_time_are_known() -> None:
    """A text of a stranger's must not become a pattern."""
    known = OPERATORS | PUT_TOGETHER
    assert {use.place for use in uses() if use.pattern is None} == known


def test_no_pattern_can_match_in_many_ways() -> None:
    found = [
        f"{use.place} {use.pattern!r}: {growth}"
        for use in uses()
        if use.pattern is not None
        for growth in growths(use.pattern, use.flags & ~re.UNICODE, use.searches)
        if growth not in ("", SQUARE.get(use.pattern, ("", ""))[0])
    ]
    assert not found, "\n".join(found)


def growths(pattern: str | bytes, flags: int, searches: bool) -> Iterator[str]:
    """Yield how fast the time of a match grows, and that of a search if there is one.

    A search begins behind each character: its time is a square if something can fail after a
    repetition.
    """
    yield growth_of(pattern, flags)
    if searches and pattern not in NEVER_FAIL:
        yield growth_of(pattern, flags, searches=True)


@pytest.mark.parametrize(
    ("pattern", "growth"),
    [
        (r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?\.?)+(?::[0-9]+)?", "exponential"),
        ("(a+)+", "exponential"),
        ("(x+x+)+y", "exponential"),
        (r"(\s*a\s*)*", "exponential"),
        ("(?:a?){30}", "exponential"),
        (r"([ab]*c?[ab]*)*", "exponential"),
        ("a*a*", "power"),
        (r"\d+.*\d+", "power"),
        (r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*", ""),
        ("(?:a|b)*c", ""),
        ("a{0,127}b", ""),
        (b"\1(?:\0?\1)*", ""),
    ],
)
def test_what_grows_is_seen(pattern: str | bytes, growth: str) -> None:
    """The control; the first was the pattern of an image's host."""
    assert ambiguity.of(pattern) == growth
