"""``minirt-oci start``: the gate opens."""

from __future__ import annotations

import os
from typing import Any

from minirt.errors import Conflict
from minirt.oci import lifecycle, records
from minirt.oci.records import Record
from minirt.oci.words import Asked
from minirt.runtime import gate


def run(asked: Asked) -> int:
    """Let the command run; return when it does."""
    record = records.load(asked.id)
    now = lifecycle.status(record)
    if now == "stopped":
        raise Conflict("cannot start a container that has stopped")
    if now != "created":
        raise Conflict(f"cannot start an already {now} container")
    config = record.config()
    init = lifecycle.living(record)
    listening = None
    if os.environ.get("NOTIFY_SOCKET") and record.notify.exists():
        from minirt.oci import readiness

        listening = readiness.listen(record.notify)
    try:
        gate.open_for(init, record.gate)
    except OSError as error:
        from minirt.runtime import command

        raise command.refused(config["process"]["args"][0], error) from error
    if (config.get("hooks") or {}).get("poststart"):
        _run_poststart_hooks(record, config)
    if listening:
        readiness.pass_on(listening, init, record)
    return 0


def _run_poststart_hooks(record: Record, config: Any) -> None:
    """Run them. If one fails the container is stopped and deleted. Raises MinirtError."""
    from minirt.runtime import hooks, reader

    try:
        state = lifecycle.hook_state(record, "running", record.pid)
        hooks.run("poststart", reader.read(config).hooks.poststart, state)
    except BaseException:
        lifecycle.destroy(record)
        raise
