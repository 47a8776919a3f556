"""A machine that is not as it should be: said in a sentence, and nothing is changed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.conftest import Minirt, Program
from integration.sandbox import command_lines, minirt_words, shell, wait_until
from integration.traces import Ground
from integration.warm import servers


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "small"
    place.mkdir()
    shell("mount", "-t", "tmpfs", "-o", "size=200k,mode=700", "tmpfs", place)
    yield place
    # A process that has just been killed may still hold a file there.
    wait_until(lambda: shell("umount", place, code=None).returncode == 0, "let the disk go")


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "ro"
    place.mkdir()
    shell("mount", "-t", "tmpfs", "-o", "ro,mode=700", "tmpfs", place)
    yield place
    # Commands have started servers there. One that is slow would find what it can write to.
    wait_until(lambda: not mentioned(place), "the end of servers that can't be")
    shell("umount", place)


def mentioned(place: Path) -> bool:
    """Say whether the command line of any process has this folder."""
    return any(str(place) in word for words in command_lines().values() for word in words)


def refused(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert done.stderr.count("\n") == 1, "one sentence, or two in a line"
    assert "Traceback" not in done.stderr
    for part in parts:
        assert part in done.stderr


def test_a_full_disk_is_said_and_a_container_that_could_not_be_made_is_not_there(
    minirt: Minirt, image: str, ground: Ground, small_disk: Path
) -> None:
    (small_disk / "images").mkdir()
    shell("mount", "--bind", ground.root / "images", small_disk / "images")
    try:
        shell("dd", "if=/dev/zero", f"of={small_disk}/filler", "bs=1k", code=None)
        done = minirt("--root", small_disk, "run", "--name", "xx", image, "true", code=125)
        refused(done, "No space left on device", "Free some space")
        assert minirt("--root", small_disk, "ps", "-aq").stdout == ""
        shell("rm", small_disk / "filler")
        minirt("--root", small_disk, "run", "--rm", "--net", "none", "--name", "xx", image, "true")
    finally:
        shell("umount", small_disk / "images")


def test_a_read_only_root_can_be_looked_at(minirt: Minirt, read_only: Path) -> None:
    assert "CONTAINER ID" in minirt("--root", read_only, "--runroot", read_only, "ps").stdout


@pytest.mark.parametrize(
    "words", [("network", "create", "net1"), ("volume", "create", "vol1"), ("rm", "-f", "xx")]
)
def test_a_read_only_root_changes_nothing(
    minirt: Minirt, read_only: Path, words: tuple[str, ...]
) -> None:
    done = minirt("--root", read_only, "--runroot", read_only, *words, code=None)
    if done.returncode:
        refused(done, "Read-only file system", "MINIRT_ROOT")


def test_a_read_only_run_folder_is_said(minirt: Minirt, image: str, read_only: Path) -> None:
    done = minirt("--runroot", read_only, "run", "--rm", image, "true", code=125)
    refused(done, "Read-only file system")
    assert minirt("ps", "-aq").stdout == ""


def test_an_ordinary_user_is_told_what_is_needed(
    as_nobody: Program,
) -> None:
    refused(as_nobody("ps", code=1), "minirt needs root", "Try sudo")


@pytest.mark.parametrize("verb", ["version", "--help", "completion"])
def test_an_ordinary_user_may_still_ask(as_nobody: Program, verb: str) -> None:
    assert as_nobody(verb, *(["bash"] if verb == "completion" else [])).stdout


WORDS_OF_OTHERS = [
    ("exec", "web", "ls", "-h"),
    ("exec", "web", "ls", "--help"),
    ("run", "-h", "host", "busybox", "true"),
    ("run", "busybox", "ls", "--help"),
    ("ps", "--filter", "--help"),
    ("logs", "--", "-h"),
    ("network", "rm", "--", "--help"),
    ("exec", "web", "tool", "--version"),
]


@pytest.mark.parametrize("words", WORDS_OF_OTHERS, ids=" ".join)
def test_words_that_ask_minirt_for_no_help_skip_no_check(
    minirt: Minirt, as_nobody: Program, tmp_path: Path, words: tuple[str, ...]
) -> None:
    refused(as_nobody(*words, code=None), "minirt needs root")
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    done = minirt("--root", open_to_all, *words, code=None)
    refused(done, "is not safe as MINIRT_ROOT", f"chmod go-w {open_to_all}")
    assert done.returncode == (125 if words[0] == "run" else 1)
    assert list(open_to_all.iterdir()) == []


@pytest.mark.parametrize("words", [(), ("run",), ("exec",), ("network",), ("network", "rm")])
def test_help_is_printed_whoever_may_write_to_the_state(
    minirt: Minirt, tmp_path: Path, words: tuple[str, ...]
) -> None:
    tmp_path.chmod(0o777)
    printed = minirt("--root", tmp_path, *words, "--help").stdout
    assert printed.startswith(" ".join(("Usage: minirt", *words)))


def test_a_root_without_its_capabilities_is_told_which(image: str, ground: Ground) -> None:
    done = shell(
        *("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"),
        *minirt_words("run", "--rm", image, "true"),
        code=125,
    )
    refused(done, "Operation not permitted", "CAP_SYS_ADMIN")
    if "MINIRT_NO_SERVER" not in os.environ:  # One that still starts is not found at the end.
        wait_until(lambda: len(servers(ground.run)) == 2, "a server of its own")
