"""A fork server for each test, out of one warm interpreter (warm_interpreter.py)."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from integration.sandbox import PATIENCE, REPOSITORY
from minirt.kernel import locks
from minirt.server import client

_WORDS = (sys.executable, "-m", "integration.warm_interpreter")


class Hearth:
    """The warm interpreter, as the tests see it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            _WORDS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
        )

    def server(self, run: Path) -> int:
        """Start the server of a run folder; return its process once it listens."""
        assert self._process.stdin and self._process.stdout
        folder, name = run / "server", client.name()
        order = [str(folder), name, f"/proc/{os.getpid()}/ns/net", dict(os.environ)]
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        pid = int(self._process.stdout.readline())
        deadline = time.monotonic() + 10 * PATIENCE
        while not (folder / name).exists():
            assert time.monotonic() < deadline, "no server"
            time.sleep(0.001)
        return pid

    def close(self) -> None:
        """Let it end."""
        with self._process:
            self._process.kill()


def servers(run: Path) -> list[int]:
    """Return the servers of a run folder that live."""
    files = [path for path in (run / "server").glob("*.lock") if locks.is_held(path)]
    return [int(words[0]) for path in files if (words := path.read_text().split())]


def commands_of(server: int) -> list[int]:
    """Return the children that run a command or wait for one."""
    return [pid for pid, is_monitor in _children(server) if is_monitor is False]


def monitors_of(server: int) -> list[int]:
    """Return the children that keep a container or wait for one."""
    return [pid for pid, is_monitor in _children(server) if is_monitor]


def _children(server: int) -> list[tuple[int, bool | None]]:
    try:
        children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    except OSError:
        return []  # It has ended.
    return [(int(pid), _is_monitor(Path(f"/proc/{pid}/status"))) for pid in children]


def waiting(run: Path) -> set[int]:
    """Return who waits for a command, and the monitor that each server has to spare.

    They have a line to somebody, the monitor a network namespace for the next container as well,
    and no more.
    """
    found: set[int] = set()
    for server in servers(run):
        found.update(pid for pid in commands_of(server) if len(descriptors_of(pid)) <= 4)
        spare = [pid for pid in monitors_of(server) if len(descriptors_of(pid)) <= 5]
        found.update(spare if len(spare) == 1 else [])
    return found


def descriptors_of(pid: int) -> list[Path]:
    """Return what a process has open, three of it its standard streams; nothing: it has ended."""
    try:
        return list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return []


def _is_monitor(status: Path) -> bool | None:
    """Say whether it is process 1 of a PID namespace; None: it has just ended."""
    with contextlib.suppress(OSError):
        numbers = next(
            line for line in status.read_text().splitlines() if line.startswith("NSpid:")
        )
        return numbers.split()[-1] == "1"
    return None
