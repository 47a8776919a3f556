"""``minirt stop``."""

from __future__ import annotations

import click

from minirt.commands.each import PATIENCE_HELP, for_each
from minirt.container import lifecycle, stop


@click.command("stop")
@click.option(
    "-t", "--time", "--timeout", "seconds", type=int, metavar="SECONDS", help=PATIENCE_HELP
)
@click.argument("containers", nargs=-1, required=True)
def command(seconds: int | None, containers: tuple[str, ...]) -> int:
    """Ask containers to end, and kill those that have not in time."""

    def action(reference: str) -> None:
        one = lifecycle.find(reference)
        if lifecycle.is_alive(one.id):
            stop.stop(one, seconds)

    return for_each(containers, action)
