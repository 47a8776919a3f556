"""Folders of minirt's state are closed to other users; its documents can be read by people."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirt.errors import InvalidRequest
from minirt.state import check_own, in_lines, made


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


# ---- folders that others could write to --------------------------------------------------------

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="chown(2) needs root")
NOBODY = 65534


def refused(folder: Path) -> str:
    with pytest.raises(InvalidRequest) as caught:
        check_own(folder, "MINIRT_ROOT")
    return str(caught.value)


def test_folders_of_ours_are_taken_whether_they_are_there_or_not(tmp_path: Path) -> None:
    check_own(tmp_path, "MINIRT_ROOT")
    check_own(tmp_path / "not" / "yet", "MINIRT_ROOT")
    assert not (tmp_path / "not").exists()
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "relative").symlink_to("../" + tmp_path.name)
    check_own(tmp_path / "link" / ".." / tmp_path.name / "relative" / "run", "MINIRT_ROOT")


def three_folders(tmp_path: Path) -> list[Path]:
    """Return a folder and the two above it."""
    folder = tmp_path / "a" / "b" / "c"
    folder.mkdir(parents=True)
    return [folder, folder.parent, folder.parent.parent]


@pytest.mark.parametrize(
    ("mode", "depth"),
    [*((mode, depth) for mode in (0o777, 0o757) for depth in (0, 1, 2)), (0o1777, 0)],
)
def test_a_folder_that_others_write_to_is_refused(tmp_path: Path, mode: int, depth: int) -> None:
    folders = three_folders(tmp_path)
    open_one = folders[depth]
    open_one.chmod(mode)
    said = refused(folders[0])
    assert f"other users may write to {open_one}. Try: chmod go-w {open_one}" in said


@pytest.mark.parametrize("depth", [1, 2])
def test_a_folder_below_one_with_the_sticky_bit_is_taken(tmp_path: Path, depth: int) -> None:
    """As in /tmp: what is ours there stays ours."""
    folders = three_folders(tmp_path)
    folders[depth].chmod(0o777)
    assert str(folders[depth]) in refused(folders[0])  # The control.
    folders[depth].chmod(0o1777)
    check_own(folders[0], "MINIRT_ROOT")


@as_root
def test_a_folder_of_another_group_is_refused_if_that_may_write(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    folder.chmod(0o775)
    check_own(folder, "MINIRT_ROOT")  # Root's own group: it has no other members.
    os.chown(folder, 0, 100)
    folder.chmod(0o775)
    assert "other users may write" in refused(folder)


@as_root
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_folder_of_another_user_is_refused(tmp_path: Path, depth: int) -> None:
    folder = tmp_path / "a" / "b" / "c"
    folder.mkdir(parents=True)
    foreign = [folder, *folder.parents][depth]
    os.chown(foreign, NOBODY, NOBODY)
    said = refused(folder)
    assert f"{foreign} belongs to user {NOBODY}, who could replace what is in there" in said


@as_root
def test_the_way_of_a_symlink_counts_as_well(tmp_path: Path) -> None:
    """A foreign link where everybody makes files; and one of ours to what isn't."""
    foreign, shared, ours = tmp_path / "foreign", tmp_path / "shared", tmp_path / "ours"
    for one in (foreign, shared, ours):
        one.mkdir()
    os.chown(foreign, NOBODY, NOBODY)
    shared.chmod(0o1777)
    (shared / "link").symlink_to(ours)
    check_own(shared / "link", "MINIRT_ROOT")
    os.chown(shared / "link", NOBODY, NOBODY, follow_symlinks=False)
    assert str(shared / "link") in refused(shared / "link" / "run")
    (ours / "link").symlink_to(foreign)
    assert str(foreign) in refused(ours / "link")
    (ours / "round").symlink_to("round")
    assert "Too many levels of symbolic links" in refused(ours / "round")


def test_what_is_missing_where_everybody_makes_files_is_made_at_once(tmp_path: Path) -> None:
    """Else another user makes it between this look and our first file."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    check_own(shared / "run" / "deep", "MINIRT_ROOT")
    assert mode(shared / "run") == 0o700


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "Not a directory" in refused(tmp_path / "file" / "run")


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
