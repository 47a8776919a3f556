from __future__ import annotations

import os
from pathlib import Path

from minirt.kernel import locks


def test_who_is_not_held_is_told_of_many_at_once(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
    held = locks.acquire(tmp_path / "one" / "alive")
    (tmp_path / "two" / "alive").touch()
    names = [f"{name}/alive" for name in ("one", "two", "three", "four")]
    assert locks.not_held(tmp_path, names) == names[1:]
    os.close(held)
    assert locks.not_held(tmp_path, names) == names


def test_where_there_is_no_folder_nothing_is_held(tmp_path: Path) -> None:
    assert locks.not_held(tmp_path / "none", ["one"]) == ["one"]
    assert locks.not_held(tmp_path / "none", []) == []
