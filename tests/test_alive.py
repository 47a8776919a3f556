"""The lock that says "alive", and the folder around it, which goes in one piece."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from minirt.container import alive, record
from minirt.state import made, new_id, run_dir


@pytest.fixture(autouse=True)
def runroot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MINIRT_RUNROOT", str(tmp_path))


def test_who_looks_at_an_end_sees_all_or_nothing() -> None:
    seen: list[str] = []

    def look(one: str) -> None:
        while alive.is_held(one):
            if not alive.state(one) and alive.is_held(one):
                seen.append(one)

    for _ in range(200):
        one = new_id()
        lock = alive.take(one)
        alive.say(one, {"pid": 1, "born": 1})
        looking = threading.Thread(target=look, args=(one,))
        looking.start()
        alive.end(one)
        os.close(lock)
        looking.join()
    assert seen == []


def test_a_lock_is_not_taken_from_who_lives() -> None:
    lock = alive.take("one")
    alive.say("one", {"pid": 1, "born": 1})
    with pytest.raises(BlockingIOError):
        alive.take("one", 60)  # at once: it has a state
    os.close(lock)
    os.close(alive.take("one"))


def test_a_lock_that_is_held_for_a_moment_is_waited_for() -> None:
    lock = alive.take("one")
    with pytest.raises(BlockingIOError):
        alive.take("one", 0.05)

    def let_go() -> None:
        alive.end("one")
        os.close(lock)

    later = threading.Timer(0.05, let_go)
    later.start()
    taken = alive.take("one", 60)
    later.join()
    assert alive.is_held("one") and not alive.state("one")
    os.close(taken)


def test_what_a_killed_process_had_taken_away_is_swept() -> None:
    (made(run_dir() / "trash" / "grave") / "alive").touch()
    alive.sweep()
    assert list((run_dir() / "trash").iterdir()) == []


def test_the_end_of_what_is_not_there_is_no_error() -> None:
    alive.end("one")
    assert not record.run_directory("one").exists()
