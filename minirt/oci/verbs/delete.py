"""``minirt-oci delete``: all that create has made is undone."""

from __future__ import annotations

import time

from minirt.errors import Conflict, NotFound
from minirt.oci import lifecycle, records
from minirt.oci.words import Asked

_PATIENCE = 5.0  # seconds that a creator may need to notice that its init is dead


def run(asked: Asked) -> int:
    """Delete it, or with crun's --regex all whose ID fits."""
    if asked.flag("regex"):
        for record in records.chosen(asked.id, by_regex=True):
            delete(record.id, force=asked.flag("force"))
    else:
        delete(asked.id, force=asked.flag("force"))
    return 0


def delete(identifier: str, *, force: bool) -> None:
    """Delete one container. Raises NotFound, Conflict if it runs; not if forced to."""
    try:
        record = records.load(identifier)
    except NotFound:
        if not force:
            raise
        records.remove(identifier)  # A creator that was killed has left no more than this.
        return
    now = lifecycle.status(record)
    if now not in ("stopped", "created") and not force:
        why = f"cannot delete container {identifier} that is not stopped: {now}"
        raise Conflict(why)
    lifecycle.destroy(record)
    if now == "creating":
        _await_creator(identifier)


def _await_creator(identifier: str) -> None:
    """Wait until a creator that lives has undone the rest; its container is dead."""
    deadline = time.monotonic() + _PATIENCE
    while records.is_being_created(identifier) and time.monotonic() < deadline:
        time.sleep(0.005)
    records.remove(identifier)
