"""Files that minirt writes where its caller wants them, in folders that other users may write to.

"nobody" plants symlinks there, and whatever root then writes must not reach what they lead to.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration import oci
from integration.conftest import Minirt
from integration.oci import Oci
from integration.sandbox import shell
from integration.traces import Ground
from minirt.kernel import processes

NOBODY = 65534
PRECIOUS = "precious"


@pytest.fixture
def one(ground: Ground, rootfs: Path) -> Oci:
    return oci.make(ground.root / "oci", rootfs)


@pytest.fixture
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder that every user may write to, in which no symlink is refused."""
    folder = tmp_path_factory.mktemp("shared")
    for above in (folder, *folder.parents):
        if not above.stat().st_mode & 0o001:
            above.chmod(above.stat().st_mode | 0o011)
    folder.chmod(0o777)
    yield folder
    shell("rm", "-rf", folder)


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """Return a file of root's."""
    file = tmp_path / "victim"
    file.write_text(PRECIOUS)
    return file


def next_numbers() -> range:
    """Return PIDs of processes that are born soon (proc_loadavg(5) tells the last one)."""
    last = int(Path("/proc/loadavg").read_text().split()[-1])
    return range(last, last + 300)


def plant(folder: Path, names: list[str], target: Path) -> None:
    """Make symlinks as another user does who has no rights."""

    def child() -> int:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        for name in names:
            (folder / name).symlink_to(target)
        return 0

    assert processes.wait(processes.fork(child)) == 0


def test_a_pid_file_follows_no_symlink_of_another_user(
    one: Oci, shared: Path, victim: Path
) -> None:
    """Neither under the name of the PID file, nor under any that can be guessed beforehand."""
    plant(shared, ["pid", *(f".pid.{number}" for number in next_numbers())], victim)
    one.create("a", options=("--pid-file", shared / "pid"))
    assert victim.read_text() == PRECIOUS
    assert not (shared / "pid").is_symlink()
    assert (shared / "pid").read_text() == str(one.state("a")["pid"])
    one("delete", "--force", "a")


def test_log_of_minirt_oci_follows_no_symlink_of_another_user(
    one: Oci, shared: Path, victim: Path
) -> None:
    plant(shared, ["log"], victim)
    failed = shell(*oci.WORDS, "--root", one.root, "--log", shared / "log", "state", "a", code=1)
    assert f"it is a symlink of user {NOBODY}" in failed.stderr
    assert victim.read_text() == PRECIOUS


def test_log_of_minirt_oci_follows_a_symlink_of_roots(one: Oci, shared: Path, victim: Path) -> None:
    """The control; and /dev/stderr is a symlink of root's to one of the caller's descriptors."""
    (shared / "log").symlink_to(victim)
    words = [*oci.WORDS, "--root", one.root, "--log"]
    shell(*words, shared / "log", "state", "a", code=1)
    assert "level=error" in victim.read_text()
    assert "level=error" in shell(*words, "/dev/stderr", "state", "a", code=1).stderr


@pytest.mark.in_process
def test_an_archive_follows_no_symlink_of_another_user(
    minirt: Minirt, image: str, shared: Path, victim: Path
) -> None:
    plant(shared, ["out.tar", *(f".out.tar.{number}" for number in next_numbers())], victim)
    minirt("image", "save", "-o", shared / "out.tar", image)
    assert victim.read_text() == PRECIOUS
    assert not (shared / "out.tar").is_symlink()
    assert (shared / "out.tar").stat().st_uid == 0


@pytest.mark.parametrize("verb", ["create", "run"])
def test_a_cidfile_follows_no_symlink_of_another_user(
    minirt: Minirt, image: str, shared: Path, tmp_path: Path, verb: str
) -> None:
    """A symlink that leads to nothing looks like a file that is not there."""
    plant(shared, ["cid"], tmp_path / "new")
    words = ("--cidfile", shared / "cid", "--net", "none", image, "true")
    failed = minirt(verb, *words, code=None)
    assert failed.returncode == (125 if verb == "run" else 1)
    assert "File exists" in failed.stderr
    assert not (tmp_path / "new").exists()
    assert minirt("ps", "-aq").stdout == ""


def test_cp_out_of_a_container_replaces_a_symlink_of_another_user(
    minirt: Minirt, image: str, shared: Path, victim: Path
) -> None:
    minirt("run", "--name", "one", "--net", "none", image, "sh", "-c", "echo evil >/file; mkdir /d")
    plant(shared, ["file"], victim)
    plant(shared, ["d"], victim.parent)
    minirt("cp", "one:/file", shared)
    minirt("cp", "one:/d", shared, code=1)
    assert victim.read_text() == PRECIOUS
    assert (shared / "file").read_text() == "evil\n"
    assert not (shared / "file").is_symlink()


@pytest.mark.parametrize("way", [os.O_CREAT | os.O_TRUNC, os.O_CREAT])
def test_who_opens_a_name_that_was_guessed_writes_to_the_target(
    shared: Path, victim: Path, tmp_path: Path, way: int
) -> None:
    """The control: the same symlinks, and files that are opened without O_EXCL."""
    plant(shared, [".pid.7"], victim)
    plant(shared, ["cid"], tmp_path / "new")
    for name, text in ((".pid.7", "7"), ("cid", "id")):
        fd = os.open(shared / name, os.O_WRONLY | way, 0o600)
        os.write(fd, text.encode())
        os.close(fd)
    assert victim.read_text().startswith("7")
    assert (tmp_path / "new").read_text() == "id"


# ---- what is no file -----------------------------------------------------------------------------


@pytest.fixture
def devices(tmp_path: Path) -> dict[str, Path]:
    """Return what a caller may name by mistake, none of it the host's own."""
    null = tmp_path / "null"
    os.mknod(null, 0o666 | 0o020000, os.makedev(1, 3))
    null.chmod(0o666)
    (tmp_path / "link").symlink_to(null)
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    found = {name: tmp_path / name for name in ("null", "link", "fifo", "folder")}
    return {**found, "/": Path("/"), "..": tmp_path / "folder/.."}


KINDS = ["null", "link", "fifo", "folder", "/", ".."]


@pytest.mark.parametrize("kind", KINDS)
def test_a_pid_file_replaces_no_device(one: Oci, devices: dict[str, Path], kind: str) -> None:
    """With runc /dev/null is a file afterwards, for the whole host."""
    place = devices[kind]
    before = place.lstat()
    one.write("true")
    failed = one("create", "--bundle", one.bundle, "--pid-file", place, "a", code=1)
    assert "cannot write the PID file" in failed.stderr and "Traceback" not in failed.stderr
    assert os.path.samestat(before, place.lstat())
    assert one.is_clean()


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_replaces_no_device(
    minirt: Minirt, image: str, devices: dict[str, Path], kind: str
) -> None:
    place = devices[kind]
    before = place.lstat()
    failed = minirt("image", "save", "-o", place, image, code=1)
    assert "Cannot write the archive" in failed.stderr
    assert os.path.samestat(before, place.lstat())
    beside = {one.name for one in devices["null"].parent.iterdir()}
    assert beside == {"null", "link", "fifo", "folder"}, "no scratch file is left"


def test_a_rename_replaces_a_device(devices: dict[str, Path], tmp_path: Path) -> None:
    """The control."""
    (tmp_path / "new").write_text("1")
    (tmp_path / "new").replace(devices["null"])
    assert devices["null"].is_file()


def test_a_file_and_a_symlink_to_one_are_replaced(
    minirt: Minirt, image: str, tmp_path: Path, victim: Path
) -> None:
    """The symlink itself, as with docker save; its target stays."""
    (tmp_path / "link").symlink_to(victim)
    minirt("image", "save", "-o", tmp_path / "link", image)
    assert victim.read_text() == PRECIOUS and not (tmp_path / "link").is_symlink()
    minirt("image", "save", "-o", victim, image)
    assert subprocess.run(["tar", "-tf", victim], capture_output=True, check=True).stdout
