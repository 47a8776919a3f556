"""Finishing what killed processes have left half done: starts, ends, removals, creations.

Who dies while a container lives, starts or ends leaves its folder RUN/containers/ID with a
lock that nobody holds. So one look at each of these tells whether there is anything to do; all
records are read only after a boot, when these folders are gone, and by who asks for it.

A look takes 8 µs, so who starts one of five hundred looks at some of the others only: the next
ones at others. Nobody has to wait for that: a name, an address or a port of a dead one is taken
from it by whoever wants it.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterable
from pathlib import Path

from minirt.container import alive, ending, lifecycle, names, record
from minirt.kernel import cgroups, locks
from minirt.network import leases
from minirt.state import made, names_in, root_dir, run_dir

BOOTED = "swept"  # RUN/swept: all records were looked at since the machine has booted
AT_ONCE = 32  # containers that one sweep looks at, unless it is told to look at all


def sweep(*, all_records: bool = False) -> None:
    """Sweep what dead monitors and commands left; ``all_records``: look at every container.

    Without, at :data:`AT_ONCE` of those that live or have died since the machine has booted.
    """
    mark = made(run_dir()) / BOOTED
    all_records |= not mark.exists()
    folder = run_dir() / "containers"
    known = names_in(folder)
    dead = _dead(folder, known if all_records else _some(known))
    if all_records:
        dead += [one for one in names_in(root_dir() / "containers") if _is_leftover(one)]
        ending.delete_all([root_dir() / "trash" / one for one in names_in(root_dir() / "trash")])
        alive.sweep()
        names.sweep()
    sweep_these(dead)
    mark.touch(mode=0o600)


def sweep_these(containers: Iterable[str]) -> None:
    """Sweep those that are dead and nobody is to see any more, then what they had leased."""
    swept = [one for one in containers if _sweep_one(one)]
    if swept:
        leases.sweep()


def _sweep_one(container_id: str) -> bool:
    """Sweep a container if it is dead; say whether it was."""
    try:
        lock = alive.take(container_id)
    except BlockingIOError:
        return False  # It lives, or it is being made or removed; or another sweep was faster.
    try:  # The lock is ours, so it is dead.
        one = record.load(container_id)
        if names.owner(one.name) != one.id or lifecycle.dies_with_its_monitor(one):
            ending.discard(one, volumes_too=False)
        else:
            ending.sweep_dead(one)
    except (FileNotFoundError, NotADirectoryError):
        # Its maker was killed before there was a record, or its monitor has removed that.
        cgroups.find(container_id).end()
        shutil.rmtree(record.directory(container_id), ignore_errors=True)
    except record.DAMAGED:
        pass  # Its files may be all that somebody has.
    finally:
        alive.let_go(container_id, lock)
    return True


def _some(known: list[str]) -> list[str]:
    first = random.randrange(len(known)) if len(known) > AT_ONCE else 0
    return (known[first:] + known[:first])[:AT_ONCE]


def _dead(folder: Path, known: Iterable[str]) -> list[str]:
    """Return whose lock nobody holds: one look at each."""
    found = locks.not_held(folder, [f"{one}/alive" for one in known])
    return [name.partition("/")[0] for name in found]


def _is_leftover(container_id: str) -> bool:
    try:
        return lifecycle.is_leftover(record.load(container_id))
    except (FileNotFoundError, NotADirectoryError):
        return True
    except record.DAMAGED:
        return False
