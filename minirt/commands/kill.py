"""``minirt kill``."""

from __future__ import annotations

import signal

import click

from minirt.commands.each import for_each
from minirt.container import lifecycle, signals, stop
from minirt.errors import Conflict


@click.command("kill")
@click.option("-s", "--signal", "name", default="KILL", help="By name or number; else KILL.")
@click.argument("containers", nargs=-1, required=True)
def command(name: str, containers: tuple[str, ...]) -> int:
    """Send a signal to the first process of containers."""
    number = signals.number(name)

    def action(reference: str) -> None:
        one = lifecycle.find_running(reference)
        if number == signal.SIGKILL:
            stop.kill(one)
        elif not stop.send(one, number):
            raise Conflict(f"Cannot signal container {reference}", "it has just ended")

    return for_each(containers, action)
