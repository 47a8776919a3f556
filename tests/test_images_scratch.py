from __future__ import annotations

import threading
from pathlib import Path

import pytest

from minirt.images import layout
from minirt.kernel import locks
from minirt.state import made


def test_a_sweep_that_has_found_the_new_lock_first_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its making and its locking a lock looks like a dead import's."""
    monkeypatch.setenv("MINIRT_ROOT", str(tmp_path))
    monkeypatch.setattr(layout, "new_id", lambda: "a" * 64)
    lock = made(layout.home() / "scratch") / f"{'a' * 12}.lock"
    sweep = threading.Timer(0.1, locks.release, (lock, locks.acquire(lock)))
    sweep.start()
    with layout.scratch() as place:
        assert place.is_dir()
        assert locks.is_held(lock)
    sweep.join()
    assert list(place.parent.iterdir()) == []
