"""docs/networking-cases.md: each state of a case is one of four, and their numbers are counted."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
PAGE = (REPOSITORY / "docs/networking-cases.md").read_text()
ROWS = re.findall(r"^\| (\d+\.\d+) \| (.+) \| ([a-z ]+) \| (.*) \|$", PAGE, re.MULTILINE)


def test_who_says_tested_names_a_test_and_who_says_not_says_why() -> None:
    for number, _case, state, why in ROWS:
        assert state in ("tested", "in part", "not yet", "out of scope"), number
        assert ("`" in why) or state in ("not yet", "out of scope"), number
        assert why, number


def test_the_numbers_are_those_of_the_tables() -> None:
    counted = Counter(state for _number, _case, state, _why in ROWS)
    told = dict(re.findall(r"^\| ([a-z ]+?)(?:, each with its reason)? \| (\d+) \|$", PAGE, re.M))
    assert {state: int(number) for state, number in told.items()} == dict(counted)
    applicable = sum(counted.values()) - counted["out of scope"]
    assert f"Of the {applicable} cases" in PAGE
    assert f"{100 * counted['tested'] // applicable} % are tested" in PAGE
