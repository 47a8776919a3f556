"""Trees of folders are removed however they were made."""

from __future__ import annotations

import os
from pathlib import Path

from minirt.kernel import trees


def test_a_tree_is_removed_and_its_links_are_not_followed(tmp_path: Path) -> None:
    beside = tmp_path / "beside"
    beside.mkdir()
    (beside / "kept").touch()
    top = tmp_path / "top"
    for name in (".1", "a/b/c", "a/.1", "a/.2", ".2/x"):
        (top / name).mkdir(parents=True)
    for name in (".3", "a/b/file", "a/.1/file"):
        (top / name).write_text("x")
    (top / "a/link").symlink_to(beside)
    (top / "a/b/up").symlink_to("..")
    os.mkfifo(top / "a/b/pipe")
    (top / os.fsdecode(b"\xff")).mkdir()
    trees.remove(top)
    assert list(tmp_path.iterdir()) == [beside]
    assert list(beside.iterdir()) == [beside / "kept"]


def test_no_depth_is_too_deep(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    fd = os.open(top, os.O_RDONLY)
    for _ in range(
        3000
    ):  # deeper than a path reaches, than Python recurses, than files may be open
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    trees.remove(top)
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there_is_removed_already(tmp_path: Path) -> None:
    trees.remove(tmp_path / "nothing")
    trees.remove(tmp_path / "nothing" / "at" / "all")
    assert list(tmp_path.iterdir()) == []
