"""The tables of tests in docs/attacks.md and docs/docker.md name tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parent.parent
ATTACKS = (TOP / "docs/attacks.md").read_text()
DOCKER = (TOP / "docs/docker.md").read_text()
NAMED = sorted(set(re.findall(r"`((?:tests|integration)/\w+\.py)::(\w+)`", ATTACKS + DOCKER)))


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_each_named_test_exists(file: str, test: str) -> None:
    assert f"\ndef {test}(" in (TOP / file).read_text()


def test_attacks_are_numbered_from_one() -> None:
    numbers = re.findall(r"^\| (\d+) \| .+? \| .+ \|$", ATTACKS, re.MULTILINE)
    assert [int(number) for number in numbers] == list(range(1, len(numbers) + 1))
