"""One change of a container at a time: two that begin with the same record would lose one.

ROOT/containers/ID/lock     held by who renames, connects or disconnects
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from minirt.container import lifecycle, record
from minirt.container.record import Record
from minirt.errors import NotFound
from minirt.kernel import locks


@contextmanager
def changing(one: Record) -> Iterator[Record]:
    """Let nobody else change the container; yield its record as it is now. Raises NotFound."""
    try:
        lock = locks.acquire(record.directory(one.id) / "lock", wait=True)
    except FileNotFoundError:
        raise _gone(one) from None
    try:
        try:
            current = record.load(one.id)
        except FileNotFoundError:
            raise _gone(one) from None
        with lifecycle.reporting_its_end(current, f"Cannot change container {one.name}"):
            yield current
    finally:
        os.close(lock)


def _gone(one: Record) -> NotFound:
    return NotFound(f"No such container: {one.name}", "it was removed just now")
