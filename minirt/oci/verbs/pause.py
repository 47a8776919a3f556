"""``minirt-oci pause`` and ``resume``: by the freezer of the cgroup."""

from __future__ import annotations

from minirt.errors import Conflict, kernel_refused
from minirt.oci import groups, lifecycle, records
from minirt.oci.words import Asked


def run(asked: Asked) -> int:
    """Freeze what runs, or thaw what is frozen. Raises Conflict if it is in another state."""
    record = records.load(asked.id)
    now = lifecycle.status(record)
    wanted = ("running", "created") if asked.verb == "pause" else ("paused",)
    if now not in wanted:
        why = f"it is {now}, not {' or '.join(wanted)}"
        raise Conflict(f"cannot {asked.verb} container {asked.id}", why)
    group = groups.of(record.cgroup)
    if group is None:
        raise Conflict(f"cannot {asked.verb} container {asked.id}", "it has no cgroup")
    try:
        if asked.verb == "pause":
            group.freeze()
        else:
            group.thaw()
    except OSError as error:
        raise kernel_refused(f"cannot {asked.verb} container {asked.id}", error) from error
    return 0
