"""``minirt kill``."""

from __future__ import annotations

import signal
from collections.abc import Callable

import click

from minirt.commands.each import for_each_at_once
from minirt.container import lifecycle, signals, stop
from minirt.errors import Conflict


@click.command("kill")
@click.option("-s", "--signal", "name", default="KILL", help="By name or number; else KILL.")
@click.argument("containers", nargs=-1, required=True)
def command(name: str, containers: tuple[str, ...]) -> int:
    """Send a signal to the first process of containers."""
    number = signals.number(name)

    def begin(reference: str) -> Callable[[], object]:
        one = lifecycle.find_running(reference)
        if number == signal.SIGKILL:
            return stop.begin_kill(one)
        if not stop.send(one, number):
            raise Conflict(f"Cannot signal container {reference}", "it has just ended")
        return lambda: None

    return for_each_at_once(containers, begin)
