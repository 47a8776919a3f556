"""The table of clauses in docs/oci.md names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent
NAMED = sorted(set(re.findall(r"`(test_\w+)::(test_\w+)`", (TOP / "docs/oci.md").read_text())))


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_every_test_that_is_named_is_there(file: str, name: str) -> None:
    (path,) = (one for name in ("integration", "tests") for one in (TOP / name).glob(f"{file}.py"))
    tree = ast.parse(path.read_text())
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_most_of_the_specification_is_in_the_table() -> None:
    assert len(NAMED) > 50
