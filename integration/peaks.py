"""How much memory minirt's processes have needed at most, while the body of a test ran."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

LARGEST = 50 << 10  # KiB of resident memory that any process of minirt may need
_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)  # proc_pid_status(5)
_PERIOD = 0.004  # seconds


class Peaks:
    """The highest VmHWM of each process that was seen, in KiB, with its command line."""

    def __init__(self) -> None:
        self.found: dict[int, tuple[int, str]] = {}
        self._interpreter = Path(sys.executable).resolve()
        self._is_over = threading.Event()
        # pytest itself, and what it has started before: the interpreter that servers come from.
        own = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        self._others = {os.getpid(), *map(int, own)}

    def watch(self) -> None:
        """Look at all processes that this Python interpreter runs in, again and again."""
        while not self._is_over.wait(_PERIOD):
            for pid in _pids():
                if pid not in self._others:
                    self._look(pid)

    def end(self) -> None:
        """Look no longer."""
        self._is_over.set()

    @property
    def highest(self) -> tuple[int, str]:
        """Return the highest of all, and the command line that belongs to it."""
        return max(self.found.values(), default=(0, ""))

    def _look(self, pid: int) -> None:
        with contextlib.suppress(OSError):  # It has ended.
            if Path(f"/proc/{pid}/exe").readlink() != self._interpreter:
                return
            peak = _PEAK.search(Path(f"/proc/{pid}/status").read_text())
            words = _command_line(pid)
            # A child of pytest that has not executed its program yet shows pytest's memory.
            is_pytest = words == _command_line(os.getpid())
            if peak and not is_pytest and int(peak[1]) > self.found.get(pid, (0, ""))[0]:
                self.found[pid] = int(peak[1]), words


def _command_line(pid: int) -> str:
    with Path(f"/proc/{pid}/cmdline").open("rb") as line:
        return line.read(500).replace(b"\0", b" ").decode(errors="replace")


def _pids() -> list[int]:
    return [int(one.name) for one in Path("/proc").iterdir() if one.name.isdecimal()]


@contextlib.contextmanager
def peaks() -> Iterator[Peaks]:
    """Watch during the body."""
    seen = Peaks()
    watcher = threading.Thread(target=seen.watch)
    watcher.start()
    try:
        yield seen
    finally:
        seen.end()
        watcher.join()


@contextlib.contextmanager
def all_stay_small() -> Iterator[None]:
    """Fail the test if a process of minirt needs more than :data:`LARGEST` during the body."""
    with peaks() as seen:
        yield
    kib, words = seen.highest
    assert 0 < kib < LARGEST, f"{kib} KiB: {words}"
