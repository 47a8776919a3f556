"""``pause`` and ``unpause``: a container stands still, by the freezer of its cgroup.

Its processes don't notice. What is connected to it waits: its addresses, ports and names stay.
"""

from __future__ import annotations

from contextlib import suppress

from minirt.container import alive, lifecycle
from minirt.container.record import Record
from minirt.errors import Conflict, kernel_refused
from minirt.kernel.cgroup_files import GONE


def pause(one: Record) -> None:
    """Let a container stand still; return when it does.

    Raises Conflict if it doesn't run, or is paused; KernelRefused if a process can't be stopped.
    """
    if lifecycle.is_paused(one):
        raise Conflict(f"Container {one.name} is already paused")
    if lifecycle.init_of(one) is None:
        raise Conflict(f"Container {one.name} is not running")
    group = lifecycle.group_of(one)
    try:
        group.freeze()
    except OSError as error:
        if error.errno in GONE:
            raise Conflict(f"Container {one.name} is not running", "it has just ended") from None
        with suppress(OSError):
            group.thaw()
        raise kernel_refused(f"Cannot pause container {one.name}", error) from error


def unpause(one: Record) -> None:
    """Let a paused container go on. Raises Conflict if it isn't; KernelRefused."""
    if not alive.is_held(one.id):
        raise Conflict(f"Container {one.name} is not running")
    if not lifecycle.is_paused(one):
        raise Conflict(f"Container {one.name} is not paused")
    try:
        lifecycle.group_of(one).thaw()
    except OSError as error:
        raise kernel_refused(f"Cannot unpause container {one.name}", error) from error
