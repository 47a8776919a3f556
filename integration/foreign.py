"""Worlds for engines that are not ours: podman, dockerd and containerd, with our runtime.

Each gets a mount and a PID namespace with an init that buries its orphans, and folders of
its own. On a hybrid machine the hierarchy of version 2 is hidden: crun and podman refuse such a
machine otherwise.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from integration import bundles, traces
from integration.sandbox import shell, started
from integration.traces import Ground

_HERE = Path(__file__).parent
_HIDE = "test ! -d /sys/fs/cgroup/unified || umount /sys/fs/cgroup/unified"


@dataclass(frozen=True, slots=True)
class World:
    """Namespaces that a process keeps; ``first`` are the words of the engine."""

    pid: int
    first: tuple[str, ...]

    def words(self, *words: object) -> list[str]:
        """Return the words of a call inside."""
        enter = ("nsenter", "--mount", "--pid", f"--target={self.pid}")
        return [*enter, *self.first, *map(str, words)]

    def __call__(
        self,
        *words: object,
        code: int | None = 0,
        input: str | None = None,
        seconds: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        """Call the engine; fail the test on another exit code."""
        return shell(*self.words(*words), code=code, input=input, seconds=seconds)

    def shown_at_terminal(self, typed: bytes, *words: object) -> str:
        """Call the engine at a terminal, type something; return what has been shown at the end."""
        master, slave = os.openpty()
        here = self.words(*words)
        with subprocess.Popen(here, stdin=slave, stdout=slave, stderr=slave) as running:
            os.close(slave)
            os.write(master, typed)
            seen = bundles.read_all(master)
            assert running.wait() == 0
        os.close(master)
        return seen


@contextlib.contextmanager
def world(ground: Ground, first: tuple[str, ...]) -> Iterator[World]:
    """Keep a world for the body; afterwards nothing that ran in it is left."""
    kinds = ("--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
    script = f"{_HIDE}; echo up; exec sleep infinity"
    words = ("unshare", *kinds, sys.executable, _HERE / "init.py", "sh", "-c", script)
    before = traces.processes(ground)
    with started(*words) as keeper:
        assert keeper.stdout and keeper.stdout.readline() == "up\n", keeper.communicate()
        children = Path(f"/proc/{keeper.pid}/task/{keeper.pid}/children").read_text().split()
        yield World(int(children[0]), first)
    traces.sweep(ground, before)
    traces.remove_cgroups(ground)  # An engine leaves the parents of its groups.
