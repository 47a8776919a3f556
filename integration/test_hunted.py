"""A container hunts each process of ``exec`` with ptrace(2), from its birth on."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration import bundles
from integration.bundles import enter_and_wait
from integration.sandbox import compiled, wait_until
from integration.traces import Ground
from minirt.runtime import privileges
from minirt.runtime.create import Created

TRIES, MOST_TRIES = 60, 1000
SPRINGBOARD = "/memfd:springboard (deleted)"


@contextlib.contextmanager
def hunted(
    ground: Ground, rootfs: Path, factory: pytest.TempPathFactory
) -> Iterator[tuple[Created, Path]]:
    """Keep such a container running; yield it, and the file with the programs that it traced."""
    hunter = compiled(Path(__file__).with_name("hunter.c"), factory.mktemp("hunter"))
    bundle = bundles.make(ground.root / "bundle", rootfs)
    shutil.copy(hunter, bundle.add_layer("hunter") / "hunter")
    with bundle.running("sh", "-c", "/hunter > /seen & exec sleep 1000") as created:
        seen = bundle.changes / "seen"
        wait_until(lambda: seen.exists() and seen.read_text(), "begin")
        yield created, seen


def test_only_the_command_itself_can_be_traced(
    ground: Ground, rootfs: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with hunted(ground, rootfs, tmp_path_factory) as (created, seen):
        for _ in range(TRIES):
            enter_and_wait(created, "sleep", "0.01")
        assert set(seen.read_text().splitlines()) == {"ready", "/bin/busybox"}


def test_a_springboard_that_does_not_hide_is_caught(
    ground: Ground,
    rootfs: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control: between its execve and its own prctl(2)."""
    monkeypatch.setattr(privileges, "_another", lambda gid: gid)
    with hunted(ground, rootfs, tmp_path_factory) as (created, seen):
        for _ in range(MOST_TRIES):
            enter_and_wait(created, "sleep", "0.01")
            if SPRINGBOARD in seen.read_text().splitlines():
                return
        pytest.fail("it was never caught")
