"""Trees that a container has made as deep, as full and as sparse as it could."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.containers import pid_of
from integration.greed import HUGE, QUIET, wait_until_ready
from integration.peaks import all_stay_small
from integration.sandbox import minirt_words, shell, wait_until
from integration.traces import Ground
from minirt.kernel import trees

MANY = 60_000  # files in a folder
LONG = 200  # characters of each name


def run(minirt: Minirt, image: str, greedy: Path, *words: object) -> None:
    """Run a container in which the greedy program has just done something."""
    script = '/greedy "$@"; echo ready; exec sleep 1000'
    minirt(*QUIET, "-v", f"{greedy}:/greedy", image, "sh", "-c", script, "sh", *words)
    wait_until_ready(minirt)


def count(folder: Path) -> int:
    """Return how many files and folders are in a folder, counted by find(1)."""
    return len(shell("find", folder, "-printf", ".", seconds=120).stdout)


@pytest.mark.slow
def test_tens_of_thousands_of_files(
    minirt: Minirt, image: str, greedy: Path, ground: Ground, tmp_path: Path
) -> None:
    run(minirt, image, greedy, "files", "/var", MANY, LONG)
    with all_stay_small():
        lines = minirt("diff", "one", seconds=120).stdout.splitlines()
        assert sum(line.startswith("A /var/0") for line in lines) == MANY
        minirt("ps", "-s", seconds=120)
        minirt("cp", "one:/var", tmp_path / "out", seconds=120)
        inside = count(Path(f"/proc/{pid_of(minirt, 'one')}/root/var"))
        assert count(tmp_path / "out") == inside > MANY
        minirt("cp", tmp_path / "out", "one:/back", seconds=120)
        minirt("rm", "-f", "one", seconds=120)
    assert not list((ground.root / "trash").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "length"), [(5000, 1), (1200, 255)])
def test_folders_deeper_than_any_path(
    minirt: Minirt,
    image: str,
    greedy: Path,
    ground: Ground,
    tmp_path: Path,
    depth: int,
    length: int,
) -> None:
    run(minirt, image, greedy, "folders", "/tmp", depth, length)
    with all_stay_small():
        done = minirt("diff", "one", seconds=120)
        lines = done.stdout.splitlines()
        if length == 1:
            assert lines[-1] == f"A /tmp{'/d' * depth}/file"
            assert sum(line.startswith("A /tmp/d") for line in lines) == depth + 1
        else:
            assert "what is in 1 directories is not shown" in done.stderr
            assert lines[-1].startswith(f"A /tmp/{'d' * length}/")
        minirt("ps", "-s", seconds=120)
        minirt("cp", "one:/tmp", tmp_path / "out", seconds=120)
        assert count(tmp_path / "out") == depth + 2
        minirt("cp", tmp_path / "out", "one:/back", seconds=120)
        minirt("rm", "-f", "one", seconds=120)
    assert not list((ground.root / "trash").iterdir())
    shell("rm", "-rf", tmp_path / "out")


@pytest.mark.slow
def test_a_volume_that_is_deep_and_full(
    minirt: Minirt, image: str, greedy: Path, ground: Ground
) -> None:
    words = ("-v", f"{greedy}:/greedy", "-v", "data:/data", image)
    with all_stay_small():
        minirt("run", "--rm", "--net", "none", *words, "/greedy", "files", "/data", MANY, LONG)
        minirt("run", "--rm", "--net", "none", *words, "/greedy", "folders", "/data", 3000, LONG)
        for verb in (("ls",), ("inspect", "data"), ("prune", "-a", "-f")):
            minirt("volume", *verb, seconds=120)
        assert minirt("volume", "ls", "-q").stdout == ""
    assert not list((ground.root / "trash").iterdir())


def test_diff_follows_no_symlink_that_is_swapped_in(
    minirt: Minirt, image: str, greedy: Path, ground: Ground, tmp_path: Path
) -> None:
    """The control reads the same folder by its path, and is led out of it."""
    secret = tmp_path / "host"
    secret.mkdir()
    (secret / "secret").touch()
    script = f"mkdir /d; touch /d/own; ln -s {secret} /l; exec /greedy swap /d /l"
    minirt(*QUIET, "-v", f"{greedy}:/greedy", image, "sh", "-c", script)
    wait_until_ready(minirt)
    (upper,) = (ground.root / "containers").glob("*/upper")

    def is_led_out() -> bool:
        is_folder = not (upper / "d").is_symlink()
        return is_folder and [one.name for one in (upper / "d").iterdir()] == ["secret"]

    wait_until(is_led_out, "the attack", seconds=60)
    for _ in range(50):
        done = minirt("diff", "one", code=None)
        assert "secret" not in done.stdout
        assert done.returncode == 0 or "moved meanwhile" in done.stderr


def sparse(path: Path) -> None:
    """Make a file with a little in the middle of a gigabyte of holes."""
    with path.open("wb") as file:
        file.seek(HUGE // 2)
        file.write(b"middle")
        file.truncate(HUGE)


def assert_sparse(path: Path) -> None:
    status = path.stat()
    assert status.st_size == HUGE
    assert status.st_blocks * 512 < 1 << 20
    with path.open("rb") as file:
        file.seek(HUGE // 2)
        assert file.read(7) == b"middle\0"


def test_holes_stay_holes(minirt: Minirt, image: str, tmp_path: Path) -> None:
    """The control, cat(1), fills them."""
    sparse(tmp_path / "sparse")
    minirt(*QUIET, image, "sleep", "1000")
    with all_stay_small():
        minirt("cp", tmp_path / "sparse", "one:/sparse")
        minirt("cp", "one:/sparse", tmp_path / "back")
    assert_sparse(Path(f"/proc/{pid_of(minirt, 'one')}/root/sparse"))
    assert_sparse(tmp_path / "back")
    with (tmp_path / "small").open("wb") as small, (tmp_path / "filled").open("wb") as filled:
        small.truncate(16 << 20)
        shell("sh", "-c", f"cat {small.name} > {filled.name}")
    assert (tmp_path / "filled").stat().st_blocks * 512 >= 16 << 20


def test_files_without_a_size_and_files_that_grow(
    minirt: Minirt, image: str, tmp_path: Path
) -> None:
    script = "while :; do head -c 1000000 /dev/zero; done > /grows"
    minirt(*QUIET, "--ulimit", "fsize=1000000000", image, "sh", "-c", script)
    minirt("cp", "one:/proc/version", tmp_path / "version")
    assert (tmp_path / "version").read_text() == Path("/proc/version").read_text()
    minirt("cp", "one:/grows", tmp_path / "grows")
    copied = (tmp_path / "grows").stat().st_size
    assert copied <= Path(f"/proc/{pid_of(minirt, 'one')}/root/grows").stat().st_size


def test_a_copy_is_not_made_inside_of_what_is_copied(
    minirt: Minirt, image: str, tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").touch()
    minirt(*QUIET, "-v", f"{tmp_path}:/host", image, "sleep", "1000")
    failed = minirt("cp", tmp_path / "a", "one:/host/a/again", code=1)
    assert "inside of what is copied" in failed.stderr


def test_of_a_thousand_fifos_some_are_named(minirt: Minirt, image: str, tmp_path: Path) -> None:
    for number in range(1000):
        os.mkfifo(tmp_path / f"fifo{number:04}")
    minirt(*QUIET, image, "sleep", "1000")
    said = minirt("cp", tmp_path, "one:/fifos").stderr
    assert "fifo0000, fifo0001" in said and "and 980 more" in said


def protected(minirt: Minirt, image: str, greedy: Path, ground: Ground) -> Path:
    """Leave immutable files in the volume of a dead container; return the volume.

    In the layer of a container overlayfs notes the flag, and sets it on nothing.
    """
    script = "mkdir /data/a; touch /data/a/f; /greedy protect /data/a/f /data/a"
    words = ("--cap-add", "LINUX_IMMUTABLE", "-v", f"{greedy}:/greedy", "-v", "/data")
    run = ("run", "--net", "none", "--name", "one", *words, image, "sh", "-c", script)
    done = minirt(*run, code=None)
    if done.returncode:
        pytest.skip(f"this file system has no such flag: {done.stderr}")
    (volume,) = (ground.root / "volumes").glob("*/_data")
    with pytest.raises(PermissionError):  # The control: root may not remove it as it is.
        (volume / "a" / "f").unlink()
    return volume


def test_immutable_files_go_with_their_container(
    minirt: Minirt, image: str, greedy: Path, ground: Ground
) -> None:
    protected(minirt, image, greedy, ground)
    minirt("rm", "-v", "one")
    assert not list((ground.root / "trash").iterdir())


def test_who_lacks_the_capability_is_told_which(
    minirt: Minirt, image: str, greedy: Path, ground: Ground
) -> None:
    volume = protected(minirt, image, greedy, ground)
    lacking = ("setpriv", "--bounding-set", "-linux_immutable", "--inh-caps", "-linux_immutable")
    words = minirt_words("rm", "-v", "one")
    failed = shell("env", "MINIRT_NO_SERVER=1", *lacking, *words, code=1)
    assert "immutable (chattr +i)" in failed.stderr and "CAP_LINUX_IMMUTABLE" in failed.stderr
    assert "CAP_NET_ADMIN" not in failed.stderr
    assert not volume.exists()
    trees.remove(ground.root / "trash")
