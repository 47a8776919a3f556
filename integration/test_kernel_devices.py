"""Device nodes, also where nobody may make them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import prctl
import pytest

from minirt.kernel import beneath, devices, libc, mounts, processes
from minirt.kernel.namespaces import Namespace

NULL = "/dev/null"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, beneath.FOLDER)
    yield fd
    os.close(fd)


def without_mknod(body: Callable[[], None]) -> int:
    """Run the body in a process that may not make device nodes, in mounts of its own."""

    def main() -> int:
        libc.unshare(Namespace.MOUNT)
        mounts.hide_from_parent()
        prctl.cap_effective.mknod = False
        body()
        return 0

    return processes.wait(processes.fork(main))


def is_null(path: Path) -> bool:
    found = path.stat()
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == os.makedev(*devices.NULL)


def test_a_node_has_the_mode_that_was_asked_for_whatever_the_umask(
    folder: int, tmp_path: Path
) -> None:
    old = os.umask(0o077)
    try:
        devices.make(folder, NULL, "c", devices.NULL, 0o666, (1, 2))
        devices.make(folder, "/dev/pipe", "p", (0, 0), 0o620, (0, 0))
    finally:
        os.umask(old)
    found = (tmp_path / "null").stat()
    assert is_null(tmp_path / "null")
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o666, 1, 2)
    assert (tmp_path / "pipe").is_fifo()


def test_a_node_that_is_there_already_is_taken_if_it_is_the_same(folder: int) -> None:
    for _ in range(2):
        devices.make(folder, NULL, "c", devices.NULL, 0o666, (0, 0))
    with pytest.raises(FileExistsError, match="another file"):
        devices.make(folder, NULL, "c", (1, 5), 0o666, (0, 0))


def test_where_none_may_be_made_the_hosts_is_shown(tmp_path: Path) -> None:
    def body() -> None:
        fd = os.open(tmp_path, beneath.FOLDER)
        devices.make(fd, NULL, "c", devices.NULL, 0o666, (0, 0))
        assert is_null(tmp_path / "null")
        (tmp_path / "null").write_text("swallowed")

    assert without_mknod(body) == 0
    assert (tmp_path / "null").read_bytes() == b""  # only the place of the mount is left


def test_the_hosts_node_of_another_number_is_not_shown(tmp_path: Path) -> None:
    def body() -> None:
        fd = os.open(tmp_path, beneath.FOLDER)
        with pytest.raises(FileExistsError, match="another file"):
            devices.make(fd, NULL, "c", (1, 5), 0o666, (0, 0))

    assert without_mknod(body) == 0
    assert not (tmp_path / "null").exists()


def test_a_link_replaces_a_file_of_its_name(folder: int, tmp_path: Path) -> None:
    (tmp_path / "ptmx").touch()
    devices.link(folder, "ptmx", "pts/ptmx")
    assert (tmp_path / "ptmx").readlink() == Path("pts/ptmx")


def test_the_null_device_of_this_machine_is_the_null_device() -> None:
    fd = devices.open_null()
    assert os.fstat(fd).st_rdev == os.makedev(1, 3)
    os.close(fd)
