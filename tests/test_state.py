"""Folders of minirt's state are closed to other users."""

from __future__ import annotations

import os
from pathlib import Path

from minirt.state import made


def mode(folder: Path) -> int:
    return folder.stat().st_mode & 0o777


def test_a_folder_is_closed_and_so_are_the_parents_that_it_needed(tmp_path: Path) -> None:
    before, mask = mode(tmp_path), os.umask(0)
    try:
        folder = made(tmp_path / "run" / "networks" / "shop")
    finally:
        os.umask(mask)
    assert [mode(one) for one in (folder, folder.parent, folder.parent.parent)] == [0o700] * 3
    assert mode(tmp_path) == before


def test_one_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    assert made(tmp_path) == tmp_path
    assert mode(tmp_path) == 0o750
