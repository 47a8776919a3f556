from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minirt.kernel import beneath


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "root" / "a" / "b").mkdir(parents=True)
    fd = os.open(tmp_path / "root", beneath.FOLDER)
    yield fd
    os.close(fd)


def opened(fd: int) -> Path:
    path = Path(beneath.path_of(fd))
    os.close(fd)
    return path


@pytest.mark.parametrize("path", ["a/b", "/a/b", "../../a/b", "a/../../../a/./b", "/../a//b/"])
def test_nothing_above_the_root_can_be_named(root: int, tmp_path: Path, path: str) -> None:
    assert opened(beneath.open_beneath(root, path)) == tmp_path / "root/a/b"


def test_a_symlink_to_an_absolute_path_stays_inside(root: int, tmp_path: Path) -> None:
    (tmp_path / "root/link").symlink_to("/a")
    assert opened(beneath.open_beneath(root, "link/b")) == tmp_path / "root/a/b"


def test_a_magic_link_is_refused(root: int) -> None:
    proc = os.open("/proc/self/fd", beneath.FOLDER)
    try:
        with pytest.raises(OSError, match="symbolic link"):
            beneath.open_beneath(proc, str(root))
    finally:
        os.close(proc)


def test_missing_folders_are_made_with_their_mode_whatever_the_umask(
    root: int, tmp_path: Path
) -> None:
    old = os.umask(0o077)
    try:
        made = opened(beneath.make_directories(root, "/x/y/z"))
    finally:
        os.umask(old)
    assert made == tmp_path / "root/x/y/z"
    assert [one.stat().st_mode & 0o777 for one in (made, made.parent)] == [0o755, 0o755]


def test_a_missing_file_is_made_below_missing_folders(root: int, tmp_path: Path) -> None:
    made = opened(beneath.make_file(root, "x/y/file"))
    assert made == tmp_path / "root/x/y/file" and made.is_file()
    assert opened(beneath.make_file(root, "x/y/file")) == made


def test_a_dangling_link_is_followed_inside(root: int, tmp_path: Path) -> None:
    (tmp_path / "root/link").symlink_to("/../../new/./deep")
    made = opened(beneath.make_directories(root, "link/folder"))
    assert made == tmp_path / "root/new/deep/folder"
    (tmp_path / "root/file").symlink_to("../x/target")
    assert opened(beneath.make_file(root, "file")) == tmp_path / "root/x/target"


def test_a_link_that_points_to_itself_ends(root: int, tmp_path: Path) -> None:
    (tmp_path / "root/loop").symlink_to("loop")
    with pytest.raises(OSError, match="symbolic links"):
        beneath.make_directories(root, "loop/x")


def test_a_file_on_the_way_is_an_error(root: int, tmp_path: Path) -> None:
    (tmp_path / "root/file").touch()
    with pytest.raises(NotADirectoryError):
        beneath.make_directories(root, "file/x")
    with pytest.raises(NotADirectoryError):
        beneath.make_directories(root, "file")


def test_no_descriptor_is_left_open(root: int, tmp_path: Path) -> None:
    (tmp_path / "root/link").symlink_to("/q/../w")
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208  of this very process
    opened(beneath.make_directories(root, "link/x/../../y"))
    with pytest.raises(OSError, match="symbolic links"):
        (tmp_path / "root/loop").symlink_to("loop")
        beneath.make_file(root, "loop/x")
    assert set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_who_makes_folders_by_their_path_is_led_out(root: int, tmp_path: Path) -> None:
    """The control for the test below (CVE-2024-45310)."""
    (tmp_path / "root/link").symlink_to("../outside")
    (tmp_path / "outside").mkdir()
    assert opened(beneath.make_directories(root, "link/a")) == tmp_path / "root/outside/a"
    assert list((tmp_path / "outside").iterdir()) == []
    (tmp_path / "root/link/b").mkdir(parents=True)
    assert [one.name for one in (tmp_path / "outside").iterdir()] == ["b"]


names = st.sampled_from(["a", "b", "c", ".", "..", "link", "other"])
paths = st.lists(names, min_size=1, max_size=6).map("/".join)
targets = st.tuples(st.sampled_from(["", "/", "../../../"]), paths).map("".join)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(path=paths, links=st.dictionaries(st.sampled_from(["link", "other", "a/link"]), targets))
def test_whatever_the_links_all_that_is_made_is_inside(path: str, links: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        top = Path(name).resolve()
        (top / "root/a").mkdir(parents=True)
        for link, target in links.items():
            (top / "root" / link).symlink_to(target)
        fd = os.open(top / "root", beneath.FOLDER)
        try:
            assert opened(beneath.make_directories(fd, path)).is_relative_to(top / "root")
        except OSError:
            pass  # A loop of links, or a file in the way.
        finally:
            os.close(fd)
        assert [one.name for one in top.iterdir()] == ["root"]
        shutil.rmtree(top / "root")
