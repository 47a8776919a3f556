from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from minirt.kernel import inotify
from minirt.server import sources
from minirt.server.sources import Sources


def overwrite(file: Path) -> None:
    file.write_text("two = 2\n")


def replace(file: Path) -> None:
    other = file.with_name(".other.py")
    other.write_text("three = 3\n")
    other.replace(file)


@pytest.fixture(params=["watched", "looked at"])
def top(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a program of three files; without inotify it is looked at each time."""
    (tmp_path / "below").mkdir()
    for file in (tmp_path / "one.py", tmp_path / "below" / "two.py", tmp_path / "table.json"):
        file.write_text("one = 1\n")
        os.utime(file, (1, 1))
    monkeypatch.setattr(sources, "TOP", tmp_path)
    if request.param == "looked at":

        def refuse() -> int:
            raise OSError(24, "Too many open files")

        monkeypatch.setattr(inotify, "instance", refuse)
    return tmp_path


def test_another_folder_under_its_name_is_seen(top: Path) -> None:
    link = top.with_name(f"{top.name}-current")
    link.symlink_to(top)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sources, "TOP", link)
        own = Sources()
        assert not own.have_changed()
        (top / "below" / "one.py").touch()
        link.unlink()
        link.symlink_to(top / "below")
        assert own.have_changed()
        own.close()


@pytest.mark.parametrize("change", [overwrite, replace, Path.unlink, Path.touch])
@pytest.mark.parametrize("name", ["one.py", "below/two.py", "table.json"])
def test_a_change_is_seen_however_it_is_made(
    top: Path, name: str, change: Callable[[Path], None]
) -> None:
    own = Sources()
    assert not own.have_changed()
    assert not own.have_changed()
    change(top / name)
    assert own.have_changed()
    own.close()


def test_what_the_interpreter_writes_beside_them_is_none(top: Path) -> None:
    own = Sources()
    (top / "__pycache__").mkdir()
    (top / "__pycache__" / "one.cpython-313.pyc").touch()
    (top / "notes.txt").touch()
    assert not own.have_changed()
    assert not own.have_changed()
    own.close()
