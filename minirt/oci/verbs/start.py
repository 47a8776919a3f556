"""``minirt-oci start``: the gate opens."""

from __future__ import annotations

import os

from minirt.errors import Conflict
from minirt.oci import lifecycle, records
from minirt.oci.records import Record
from minirt.oci.words import Asked
from minirt.runtime import command, gate, hooks, spec


def run(asked: Asked) -> int:
    """Let the command run; return when it does."""
    record = records.load(asked.id)
    now = lifecycle.status(record)
    if now == "stopped":
        raise Conflict("cannot start a container that has stopped")
    if now != "created":
        raise Conflict(f"cannot start an already {now} container")
    wanted = spec.read(record.config())
    init = lifecycle.living(record)
    try:
        gate.open_for(init, record.gate)
    except OSError as error:
        raise command.refused(wanted.process.args[0], error) from error
    finally:
        os.close(init)
    run_poststart_hooks(record, wanted)
    return 0


def run_poststart_hooks(record: Record, wanted: spec.Spec) -> None:
    """Run them. If one fails the container is stopped and deleted. Raises MinirtError."""
    state = lifecycle.hook_state(record, "running", record.pid)
    try:
        hooks.run("poststart", wanted.hooks.poststart, state)
    except BaseException:
        lifecycle.destroy(record)
        raise
