"""What only a living container has: the folder RUN/containers/ID, and in it a lock and its state.

The folder goes by one rename. So whoever looks sees all of it or nothing: one who found the
lock still held, and the state of an end already removed, would take that for a start.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from minirt.container import record
from minirt.kernel import locks
from minirt.state import made, names_in, read_json, run_dir, set_aside, write_json

SOON = 1.0  # seconds that a sweep, or a copy, may hold the lock of a container that is dead


def is_held(container_id: str) -> bool:
    """Say whether somebody living holds the container's lock: as a rule its monitor."""
    return locks.is_held(record.run_directory(container_id) / "alive")


def take(container_id: str, patience: float = 0) -> int:
    """Take the lock; return its descriptor. A sweep may hold it, and remove its folder.

    Raises BlockingIOError if the container lives, or if it is not free after ``patience`` seconds.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            return locks.acquire(made(record.run_directory(container_id)) / "alive")
        except FileNotFoundError:
            continue
        except BlockingIOError:
            if state(container_id) or time.monotonic() >= deadline:
                raise
        time.sleep(0.005)


def say(container_id: str, state: dict[str, Any]) -> None:
    """Write down the pids of its init and its monitor, and when they were born (clock ticks)."""
    place = record.run_directory(container_id) / "state.json"
    write_json(place, state, durable=False)


def state(container_id: str) -> dict[str, Any]:
    """Return what :func:`say` wrote; nothing if the container does not live, or not yet."""
    if not is_held(container_id):
        return {}
    try:
        return dict(read_json(record.run_directory(container_id) / "state.json"))
    except (FileNotFoundError, ValueError):
        return {}


def end(container_id: str) -> None:
    """Take all of it away at once; the lock falls when its descriptor is closed."""
    _delete(_set_aside(container_id))


def let_go(container_id: str, lock: int) -> None:
    """End it, and let the lock fall."""
    graves = _set_aside(container_id)
    os.close(lock)
    _delete(graves)


def _set_aside(container_id: str) -> list[Path]:
    try:
        return [set_aside(record.run_directory(container_id), run_dir())]
    except FileNotFoundError:
        return []


def _delete(graves: Iterable[Path]) -> None:
    for grave in graves:
        shutil.rmtree(grave, ignore_errors=True)


def sweep() -> None:
    """Delete what killed processes had taken away, and not deleted."""
    _delete(run_dir() / "trash" / grave for grave in names_in(run_dir() / "trash"))
