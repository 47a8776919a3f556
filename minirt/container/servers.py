"""The fork servers of this state: who serves is who holds the lock RUN/server/*.lock.

The servers themselves stand above all this; only their lock files are known here.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

from minirt.kernel import locks, processes
from minirt.kernel.steps import step
from minirt.state import run_dir

PATIENCE = 5.0  # seconds for a server to end


def running() -> Iterator[tuple[int, int]]:
    """Yield pid and time of birth of each server."""
    for path in sorted((run_dir() / "server").glob("*.lock")):
        words = path.read_text().split()
        if len(words) == 2 and locks.is_held(path):
            yield int(words[0]), int(words[1])


def stop() -> int:
    """End all servers; return how many there were. Containers and commands go on."""
    count = 0
    for pid, born in running():
        try:
            pidfd = processes.open_pidfd(pid, born)
        except ProcessLookupError:
            continue
        try:
            with step("end the fork server", "kill", pid):
                signal.pidfd_send_signal(pidfd, signal.SIGTERM)
            processes.wait_until_dead(pidfd, PATIENCE)
            count += 1
        except ProcessLookupError:
            pass
        finally:
            os.close(pidfd)
    return count
