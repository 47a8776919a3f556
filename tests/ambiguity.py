"""How long a regular expression may take: whether a text can be matched in many ways.

Python's ``re`` tries one way after the other. The positions of a pattern (the nodes that match one
character) are the states of an automaton without empty steps (Glushkov). It shows what makes the
number of ways grow with a text (Weideman et al., "Analyzing Matching Time Behavior of Backtracking
Regular Expression Matchers by Using Ambiguity of NFA", 2016):

    exponentially    a state leads back to itself by one text in two ways: (a+)+
    like a power     a state leads by one text to itself, and to a later one that repeats: a*a*

Assertions count as true, and long repetitions as endless: a pattern can seem worse than it is,
never better.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from re import _compiler, _constants, _parser  # type: ignore[attr-defined]  # the only way there
from typing import Any

_SHORT = 3  # A repetition of no more than that is written out.
# It tells all classes apart that our patterns have.
_ALPHABET = [*map(chr, range(256)), "\u0663", "\u2003", "\u200e", "\u4e2d", "\ud800"]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a pattern: the states it can begin and end with, and whether it may be empty."""

    first: frozenset[int] = frozenset()
    last: frozenset[int] = frozenset()
    empty: bool = True


@dataclass(slots=True)
class Automaton:
    """The states of a pattern: which characters each takes, and which ones may follow it."""

    flags: int
    takes: list[frozenset[str]] = field(default_factory=list)
    follows: list[set[int]] = field(default_factory=list)
    twice: set[tuple[int, int]] = field(default_factory=set)  # steps that can be taken in two ways

    def _lead(self, one: Part, other: Part) -> None:
        for end in one.last:
            self.twice |= {(end, first) for first in self.follows[end] & other.first}
            self.follows[end] |= other.first

    def sequence(self, parts: Iterable[Part]) -> Part:
        """Put parts one after the other."""
        whole = Part()
        for one in parts:
            self._lead(whole, one)
            whole = Part(
                whole.first | one.first if whole.empty else whole.first,
                whole.last | one.last if one.empty else one.last,
                whole.empty and one.empty,
            )
        return whole

    def read(self, tree: Any) -> Part:
        """Add the states of a parsed pattern."""
        return self.sequence([self._node(kind, value) for kind, value in tree])

    def _node(self, kind: Any, value: Any) -> Part:
        if kind in (_constants.AT, _constants.ASSERT, _constants.ASSERT_NOT):
            return Part()
        if kind is _constants.BRANCH:
            ways = [self.read(one) for one in value[1]]
            first = frozenset[int]().union(*(one.first for one in ways))
            last = frozenset[int]().union(*(one.last for one in ways))
            return Part(first, last, any(one.empty for one in ways))
        if kind is _constants.SUBPATTERN:
            return self.read(value[3])
        if kind in (_constants.MAX_REPEAT, _constants.MIN_REPEAT):
            return self._repeated(*value)
        assert kind in (
            *(_constants.LITERAL, _constants.NOT_LITERAL, _constants.IN, _constants.ANY),
        ), f"{kind} is not known here"
        self.takes.append(self._matched_by(kind, value))
        self.follows.append(set())
        here = frozenset({len(self.takes) - 1})
        return Part(here, here, empty=False)

    def _repeated(self, least: int, most: int, tree: Any) -> Part:
        if most > _SHORT:
            one = self.read(tree)
            self._lead(one, one)
            if one.empty:  # (a?){9}: any of the nine may be the empty ones
                self.twice |= {(end, first) for end in one.last for first in one.first}
            return Part(one.first, one.last, one.empty or not least)
        parts = [self.read(tree) for _ in range(most)]
        optional = [Part(one.first, one.last) for one in parts[least:]]
        return self.sequence([*parts[:least], *optional])

    def _matched_by(self, kind: Any, value: Any) -> frozenset[str]:
        state = _parser.State()
        state.flags = self.flags
        one = _compiler.compile(_parser.SubPattern(state, [(kind, value)]), self.flags)
        return frozenset(character for character in _ALPHABET if one.fullmatch(character))


def of(pattern: str | bytes, flags: int = 0, *, searches: bool = False) -> str:
    """Return "exponential", "power" or "" for none; ``searches`` is for what begins anywhere."""
    text = pattern.decode("latin-1") if isinstance(pattern, bytes) else pattern
    if isinstance(pattern, bytes):
        flags |= re.ASCII
    tree = _parser.parse(text, flags)
    automaton = Automaton(tree.state.flags)
    whole = automaton.read(tree)
    if searches:
        anything = frozenset(_ALPHABET)
        automaton.takes.append(anything)
        automaton.follows.append({len(automaton.follows), *whole.first})
    if _is_exponential(automaton):
        return "exponential"
    return "power" if _is_like_a_power(automaton) else ""


def _is_exponential(automaton: Automaton) -> bool:
    """Look for a pair of states that are one, become two, and are one again."""
    takes, follows = automaton.takes, automaton.follows
    if any(one in _from(follows, other) for one, other in automaton.twice):
        return True

    def after(pair: tuple[int, ...]) -> Iterable[tuple[int, ...]]:
        one, other = pair
        return [(a, b) for a in follows[one] for b in follows[other] if takes[a] & takes[b]]

    for state in range(len(takes)):
        reached = _reached(after, (state, state))
        if any((state, state) in _reached(after, pair) for pair in reached if pair[0] < pair[1]):
            return True
    return False


def _is_like_a_power(automaton: Automaton) -> bool:
    """Look for states p, q and a text by which p leads to p and to q, and q to q."""
    takes, follows = automaton.takes, automaton.follows

    def after(three: tuple[int, ...]) -> Iterable[tuple[int, ...]]:
        p, between, q = three
        return [
            (a, b, c)
            for a in follows[p]
            for b in follows[between]
            if takes[a] & takes[b]
            for c in follows[q]
            if takes[a] & takes[b] & takes[c]
        ]

    looping = [state for state in range(len(takes)) if state in _from(follows, state)]
    return any(
        p != q and q in _from(follows, p) and (p, q, q) in _reached(after, (p, p, q))
        for p in looping
        for q in looping
    )


def _from(follows: list[set[int]], state: int) -> set[int]:
    return {one for (one,) in _reached(lambda here: [(n,) for n in follows[here[0]]], (state,))}


def _reached(
    after: Callable[[tuple[int, ...]], Iterable[tuple[int, ...]]], start: tuple[int, ...]
) -> set[tuple[int, ...]]:
    """Return what can be reached from ``start`` in one step or more."""
    found: set[tuple[int, ...]] = set()
    waiting = [start]
    while waiting:
        for one in after(waiting.pop()):
            if one not in found:
                found.add(one)
                waiting.append(one)
    return found
