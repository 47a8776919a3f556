"""Folders of containers lie apart where the file system can, and nothing is lost where it can't."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from minirt.container import record
from minirt.container.record import Record
from minirt.kernel import block_groups


def told(*words: object) -> str:
    """Return what a program prints."""
    call = [str(word) for word in words]
    return subprocess.run(call, capture_output=True, text=True, check=True).stdout


def attributes(folder: Path) -> str:
    """Return what lsattr(1) shows of a folder; skip the test where there is nothing to show."""
    kind = told("stat", "-f", "-c", "%T", folder).strip()
    if kind != "ext2/ext3":  # what stat(1) calls ext4
        pytest.skip(f"{kind} has no block groups")
    return told("lsattr", "-d", folder).split()[0]


def test_what_is_made_in_a_folder_lies_apart(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    before = attributes(tmp_path)
    block_groups.spread(tmp_path)
    assert sorted(attributes(tmp_path)) == sorted(before.replace("-", "T", 1))
    assert attributes(tmp_path / "inner") == before


def test_containers_lie_apart_but_what_one_has_does_not() -> None:
    one = Record("a" * 64, "web", "", "busybox", "sha256:0")
    record.save(one)
    folder = record.directory(one.id)
    assert "T" in attributes(folder.parent)
    assert "T" not in attributes(folder)


def state_of(folder: Path) -> tuple[int, str, int]:
    """Return the mode of a folder, what lsattr(1) shows of it, and how many descriptors we have."""
    shown = subprocess.run(["lsattr", "-d", folder], capture_output=True, text=True, check=False)
    return (
        folder.stat().st_mode,
        shown.stdout + shown.stderr,
        len(list(Path("/proc/self/fd").iterdir())),
    )


def test_another_file_system_is_left_as_it_is() -> None:
    folders = (Path("/proc/self"), Path("/dev/shm"))
    before = {folder: state_of(folder) for folder in folders}
    for folder in folders:
        block_groups.spread(folder)
    assert {folder: state_of(folder) for folder in folders} == before
