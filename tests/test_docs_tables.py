"""The tables of tests in docs/attacks.md and docs/docker.md name tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parent.parent
ATTACKS = (TOP / "docs/attacks.md").read_text()
OCI = (TOP / "docs/oci.md").read_text()
DOCKER = (TOP / "docs/docker.md").read_text()
NAMED = sorted(set(re.findall(r"`((?:tests|integration)/\w+\.py)::(\w+)`", ATTACKS + DOCKER)))


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_each_named_test_exists(file: str, test: str) -> None:
    assert f"\ndef {test}(" in (TOP / file).read_text()


def rows_of(page: str) -> list[tuple[str, str]]:
    """Return the number of each row, and all that stands behind it."""
    return re.findall(r"^\| ((?:B|D)?\d+) \| (.+) \|$", page, re.MULTILINE)


def test_each_attack_has_a_number_of_its_own_in_ascending_order() -> None:
    numbers = [int(number) for number, _ in rows_of(ATTACKS)]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("page", [ATTACKS, DOCKER, OCI], ids=["attacks", "docker", "oci"])
def test_every_row_names_a_test(page: str) -> None:
    rows = rows_of(page)
    assert len(rows) > 20
    assert [number for number, rest in rows if "test_" not in rest] == []
