"""What happens when a container has ended, in the order that lets it be started again at once.

First what the kernel does not free by itself (elements of published ports, cgroups), while
the locks still keep others away; then the locks; then, if it was started with ``--rm``, its
name and its folder. Only deleting files comes after the answer.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from minirt.container import names, record
from minirt.container.holdings import Holdings
from minirt.container.record import Record
from minirt.kernel import locks, processes
from minirt.kernel.cgroups import Cgroup
from minirt.state import made, new_id, root_dir


def release(one: Record, holdings: Holdings, cgroup: Cgroup | None) -> list[Path]:
    """Free everything that a run of the container held; return folders to delete."""
    if holdings.bindings:
        _unpublish(holdings)
    if cgroup is not None:
        cgroup.kill()
        cgroup.remove()
    for path, fd in holdings.leases.values():
        locks.release(path, fd)
    for fd in holdings.descriptors() - {
        holdings.alive[1],
        *(f for _, f in holdings.leases.values()),
    }:
        os.close(fd)
    if holdings.link is not None:
        holdings.link.close()
    started = bool(record.load_last(one.id).started)
    remains = [set_aside(one)] if one.host.auto_remove and started else []
    shutil.rmtree(record.run_directory(one.id), ignore_errors=True)
    os.close(holdings.alive[1])
    return remains


def set_aside(one: Record) -> Path:
    """Take a container out of sight: its name first, then its folder, renamed to the trash."""
    names.release(one.name, one.id)
    grave = made(root_dir() / "trash") / new_id()
    record.directory(one.id).rename(grave)
    return grave


def delete(folders: list[Path]) -> None:
    """Delete folders that nobody sees any more."""
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _unpublish(holdings: Holdings) -> None:
    """Remove our elements in a child process: the monitor itself stays small."""

    def main() -> int:
        from minirt.network import nat

        nat.unpublish(holdings.bindings)
        return 0

    processes.wait(processes.fork(main))
