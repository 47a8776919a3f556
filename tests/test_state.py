"""Folders of minirt's state are closed to other users; its documents can be read by people."""

from __future__ import annotations

import json
import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from minirt.state import in_lines, made


def mode(folder: Path) -> int:
    return folder.stat().st_mode & 0o777


def test_a_folder_is_closed_and_so_are_the_parents_that_it_needed(tmp_path: Path) -> None:
    before, mask = mode(tmp_path), os.umask(0)
    try:
        folder = made(tmp_path / "run" / "networks" / "shop")
        careless = tmp_path / "careless" / "shop"
        careless.mkdir(mode=0o700, parents=True)
    finally:
        os.umask(mask)
    assert [mode(one) for one in (folder, folder.parent, folder.parent.parent)] == [0o700] * 3
    assert [mode(one) for one in (careless, careless.parent)] == [0o700, 0o777]  # The control.
    assert mode(tmp_path) == before


def test_one_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    assert made(tmp_path) == tmp_path
    assert mode(tmp_path) == 0o750


def test_a_document_has_a_line_for_each_member_of_the_upper_levels() -> None:
    document = {"name": "web", "process": {"args": ["a", "b"], "user": {"uid": 0}}, "hooks": {}}
    assert in_lines({"name": "web", "host": {"init": True}}).splitlines() == [
        "{",
        '  "name": "web",',
        '  "host": {"init": true}',
        "}",
    ]
    assert in_lines(document, 2).splitlines() == [
        "{",
        '  "name": "web",',
        '  "process": {',
        '    "args": ["a", "b"],',
        '    "user": {"uid": 0}',
        "  },",
        '  "hooks": {}',
        "}",
    ]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    st.integers(0, 3),
)
def test_it_says_what_the_document_says(document: object, levels: int) -> None:
    written = in_lines(document, levels)
    assert json.loads(written) == document
    assert written.endswith("\n")
