"""A sweep looks at some of many containers; the next ones, or who asks for it, at the others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from minirt.container import alive, sweeping
from minirt.state import new_id, run_dir


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MINIRT_ROOT", str(tmp_path / "root"))
    monkeypatch.setenv("MINIRT_RUNROOT", str(tmp_path / "run"))
    sweeping.sweep()  # as after a boot: it looks at all


def left() -> int:
    return len(list((run_dir() / "containers").iterdir()))


def die(number: int) -> None:
    """Leave locks that nobody holds, as who is killed does."""
    for _ in range(number):
        os.close(alive.take(new_id()))


def test_few_are_swept_at_once() -> None:
    die(sweeping.AT_ONCE)
    sweeping.sweep()
    assert left() == 0


def test_of_many_each_is_swept_in_the_end() -> None:
    die(3 * sweeping.AT_ONCE)
    sweeping.sweep()
    assert left() == 2 * sweeping.AT_ONCE
    for _ in range(2):
        sweeping.sweep()
    assert left() == 0


def test_who_asks_for_it_sweeps_all_and_harms_nobody() -> None:
    die(2 * sweeping.AT_ONCE)
    lock = alive.take("living")
    sweeping.sweep(all_records=True)
    assert left() == 1 and alive.is_held("living")
    os.close(lock)
