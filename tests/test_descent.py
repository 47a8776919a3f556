"""A walk by descriptors sees all there is, and ends where something was moved under it."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import closing
from pathlib import Path

import pytest

from minirt.kernel import descent


def walked(top: Path) -> list[str]:
    """Return the paths of all files and folders, in the order of the walk."""
    found: list[str] = []
    trail: list[str] = []
    with closing(descent.of_path(top)) as walk:
        while (name := walk.next_name()) is not None or walk.depth:
            if name is None:
                walk.leave()
                trail.pop()
                continue
            found.append("/".join([*trail, name]))
            child = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=walk.fd)
            if stat.S_ISDIR(os.fstat(child).st_mode):
                walk.enter(child)
                trail.append(name)
            os.close(child)
    return found


def test_all_is_seen_once_and_in_order(tmp_path: Path) -> None:
    """Deeper than names are kept of, with neighbours on each level."""
    here = tmp_path
    for number in range(40):
        for name in ("a", "b", "m", "z"):
            (here / name).mkdir()
            (here / name / "file").touch()
        here = here / ("b" if number % 2 else "m")
    (tmp_path / "link").symlink_to(tmp_path)
    expected = sorted(str(one.relative_to(tmp_path)) for one in tmp_path.rglob("*"))
    assert walked(tmp_path) == sorted(expected, key=lambda path: path.split("/"))


def test_a_directory_of_several_batches(tmp_path: Path) -> None:
    names = [f"{number:0200}" for number in range(3 * descent.BATCH // 224)]
    for name in names:
        (tmp_path / name).touch()
    fd = os.open(tmp_path, os.O_RDONLY)
    first, position = descent.read_names(fd)
    os.close(fd)
    assert position and 0 < len(first) < len(names)
    assert sorted(walked(tmp_path)) == names


def test_nothing_of_an_empty_directory(tmp_path: Path) -> None:
    assert walked(tmp_path) == []


def test_a_directory_that_is_moved_leads_nowhere(tmp_path: Path) -> None:
    """The control: ".." of a path that is believed leads to wherever it was moved."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    with closing(descent.of_path(tmp_path / "a")) as walk:
        child = os.open("b", os.O_PATH, dir_fd=walk.fd)
        walk.enter(child)
        (tmp_path / "a" / "b").rename(tmp_path / "elsewhere" / "b")
        assert Path(f"/proc/self/fd/{child}/..").resolve() == tmp_path / "elsewhere"
        with pytest.raises(OSError, match="moved meanwhile") as met:
            walk.leave()
        assert met.value.errno == errno.ESTALE
        os.close(child)


def test_a_symlink_is_no_way_down(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    with closing(descent.of_path(tmp_path)) as walk:
        child = os.open("link", os.O_PATH | os.O_NOFOLLOW, dir_fd=walk.fd)
        with pytest.raises(NotADirectoryError):
            walk.enter(child)
        os.close(child)
    with pytest.raises(OSError, match="link"):
        descent.of_path(tmp_path / "link")


def test_the_depth_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descent, "DEEPEST", 3)
    (tmp_path / "a/b/c/d").mkdir(parents=True)
    with pytest.raises(OSError, match="more than 3 directories are inside each other"):
        walked(tmp_path)


def test_a_directory_that_is_removed_meanwhile_has_ended(tmp_path: Path) -> None:
    """As when two commands empty the trash: ext4 answers EINVAL or ENOENT then."""
    (folder := tmp_path / "folder").mkdir()
    (folder / "file").touch()
    opened = os.open(folder, os.O_RDONLY)
    names, position = descent.read_names(opened)
    assert names == ["file"]
    (folder / "file").unlink()
    folder.rmdir()
    assert descent.read_names(opened, position) == ([], position)
    assert descent.read_names(opened) == ([], 0)
    os.close(opened)
