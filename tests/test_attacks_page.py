"""docs/attacks.md tells the truth: each test that it names exists, and each attack has one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PAGE = (REPOSITORY / "docs/attacks.md").read_text()
ROWS = re.findall(r"^\| (\d+) \| (.+?) \| (.+) \|$", PAGE, re.MULTILINE)
NAMED = sorted(set(re.findall(r"`((?:tests|integration)/\w+\.py)::(\w+)`", PAGE)))


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_each_named_test_exists(file: str, test: str) -> None:
    assert f"\ndef {test}(" in (REPOSITORY / file).read_text()


def test_every_attack_has_a_test() -> None:
    assert [int(number) for number, _attack, _why in ROWS] == list(range(1, 53))
    assert [row for row in ROWS if "`tests/" not in row[2] and "`integration/" not in row[2]] == []
