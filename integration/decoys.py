"""Devices of the test's own in the place of the host's, so that an attack on them harms nobody."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from integration.sandbox import shell

DEVICES = {"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9}  # their minor numbers


@pytest.fixture
def devices(tmp_path: Path) -> Iterator[Path]:
    """Put devices of the test's own in the place of the host's; return their folder."""
    folder = tmp_path / "devices"
    folder.mkdir()
    shell("mount", "-t", "tmpfs", "devices", folder)
    with ExitStack() as held:
        held.callback(shell, "umount", "--lazy", folder)
        for name, minor in DEVICES.items():
            os.mknod(folder / name, 0o666 | stat.S_IFCHR, os.makedev(1, minor))
            (folder / name).chmod(0o666)
            shell("mount", "--bind", folder / name, f"/dev/{name}")
            held.callback(shell, "umount", "--lazy", f"/dev/{name}")
        yield folder


def state_of(folder: Path) -> dict[str, tuple[int, ...]]:
    """Return what an attack could change of each file of a folder."""
    found = {one.name: one.stat() for one in folder.iterdir()}
    return {
        name: (one.st_mode, one.st_uid, one.st_gid, one.st_mtime_ns, one.st_ctime_ns)
        for name, one in found.items()
    }
