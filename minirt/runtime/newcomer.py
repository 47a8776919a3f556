"""The process that joins a container, from its birth inside to its execve."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from minirt.kernel import processes, terminals
from minirt.kernel.cgroups import Cgroup
from minirt.kernel.namespaces import Namespace
from minirt.runtime import launch, stripped
from minirt.runtime.filters import Filters
from minirt.runtime.handshake import GO, CreatorDied, Line
from minirt.runtime.hooks import State
from minirt.runtime.spec import Process

if TYPE_CHECKING:
    from minirt.kernel.numa import MemoryPolicy


@dataclass(frozen=True, slots=True)
class Visit:
    """All that guide and newcomer need."""

    pidfd: int
    pid: int
    process: Process
    kinds: Namespace
    stdio: tuple[int, int, int] | None
    user: str | None
    groups: tuple[str, ...]
    cgroup: Cgroup | None
    filters: Filters
    line: Line  # the guide's
    own_line: Line  # the newcomer's, which nobody in the container holds before it is there
    handed_on: tuple[int, ...] = ()
    personality: int | None = None
    state: State | None = None
    shares_mounts: bool = False
    memory_policy: MemoryPolicy | None = None

    @property
    def has_own_ids(self) -> bool:
        """Say whether the container is in a user namespace."""
        return Namespace.USER in self.kinds


def become(visit: Visit, process: Process, path: str) -> int:
    """Be the newcomer: take the terminal, drop all privileges, wait for the word, execute."""
    try:
        os.setsid()
        if process.terminal:
            terminals.take_control(0)
        held = {visit.own_line.fileno(), *visit.handed_on, *visit.filters.descriptors()}
        processes.close_all_but(stripped.with_standard(held))
        if visit.filters.agent:  # Only the caller knows this process's number out there.
            pid = visit.own_line.await_number()
            state = visit.state or State("", "running", pid, Path("/"), {})
            visit.filters.agent.introduce(pid, state)
        for fd in visit.handed_on:
            os.set_inheritable(fd, True)
        launch.set_scheduling(process, visit.personality, visit.memory_policy)
        if not visit.has_own_ids:  # Else the caller has: to raise them takes the host's root.
            launch.set_limits(process)
        # To stop being Python takes a millisecond: better while the word is waited for.
        wait = partial(visit.own_line.await_word, GO)
        launch.become(process, path, visit.filters, visit.own_line.fileno(), wait)
    except CreatorDied:
        pass
    except BaseException as error:
        visit.own_line.report(launch.explained(error))
    return 1
