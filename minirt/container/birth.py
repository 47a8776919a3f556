"""How a monitor is born: process 1 of a PID namespace of its own, and in no session's group."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable

from minirt.container import monitor, sharing
from minirt.container.keeper import Keeper
from minirt.container.monitor import Plan
from minirt.kernel import cgroups, clone, descriptors, libc, namespaces
from minirt.kernel.clone import Child
from minirt.kernel.namespaces import Namespace
from minirt.kernel.steps import step


def give(plan: Plan, line: socket.socket) -> Child:
    """Fork the monitor: process 1 of a new PID namespace, in the group of all monitors.

    (With ``--pid host`` it can't be around the container: then a monitor that is killed leaves
    processes behind, which the next command kills.)

    So neither a terminal that is hung up nor a session or a unit that is stopped ends it.
    Born there it costs nothing; to move there later would make all processors wait.
    """
    group = cgroups.make("monitors")
    folder = group.clone_fd()

    def main() -> int:
        group.enter_version_1()
        return monitor.main(plan, line)

    kinds = Namespace.PID if sharing.is_around(plan.record) else Namespace(0)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        with step("start its monitor in a PID namespace around it", "unshare", "--pid", "--fork"):
            if plan.keeper is None:
                child = clone.clone(main, kinds, cgroup=folder)
            else:
                child = _born_beside(plan.keeper, main, folder)
    finally:
        descriptors.close([] if folder is None else [folder])
    return child


def _born_beside(keeper: Keeper, main: Callable[[], int], folder: int | None) -> Child:
    """Fork into the PID namespace of the keeper, who hears it when both of us are gone."""
    pidfd = os.pidfd_open(keeper.pid)
    try:
        with namespaces.children_born_after(lambda: libc.setns(pidfd, Namespace.PID)):
            return clone.clone(main, cgroup=folder)
    finally:
        os.close(pidfd)
        keeper.line.close()
