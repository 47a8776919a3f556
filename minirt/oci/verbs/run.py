"""``minirt-oci run``: create, start, wait, delete."""

from __future__ import annotations

import os

from minirt.kernel import terminal_modes
from minirt.oci import birth, console, lifecycle
from minirt.oci.words import Asked
from minirt.runtime import create


def run(asked: Asked) -> int:
    """Run the container; return its exit code, or 0 at once if detached."""
    detached = asked.flag("detach")
    order = birth.read_order(asked, detached=detached)
    with birth.claimed(order) as claim:
        record, created = birth.bear(order, claim)
        if not detached:
            console.hold_signals()
            if created.console is not None:
                console.follow_size(created.console)
                terminal_modes.pass_newlines(created.console)
        listening = None
        if order.notifies:
            from minirt.oci import readiness

            listening = readiness.listen(record.notify)
        create.start(created)
    if detached:
        if listening:
            readiness.pass_on(listening, created.pidfd, record)
        return 0
    try:
        if listening:
            console.let_signals_pass(created.pidfd)
            readiness.pass_on(listening, created.pidfd, record)
        return console.accompany(created.pidfd, created.console)
    finally:
        os.close(created.pidfd)
        if not asked.flag("keep"):
            lifecycle.destroy(record)
