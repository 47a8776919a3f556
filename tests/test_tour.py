"""The tour through the code leads to places that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent
TEXT = (TOP / "docs" / "tour.md").read_text()
STOPS = sorted(set(re.findall(r"`(minirt/[\w/]+\.py):(\w+)`", TEXT)))
FILES = sorted(set(re.findall(r"`(minirt/[\w/.]+)`", TEXT)))


@pytest.mark.parametrize(("file", "name"), STOPS)
def test_every_stop_is_there(file: str, name: str) -> None:
    tree = ast.parse((TOP / file).read_text())
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assert name in defined


@pytest.mark.parametrize("file", FILES)
def test_every_file_that_is_named_is_there(file: str) -> None:
    assert (TOP / file).exists()


def test_the_tour_is_a_tour() -> None:
    assert len(STOPS) > 25
