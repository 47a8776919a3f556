"""``minirt stop``."""

from __future__ import annotations

import click

from minirt.commands.each import for_each, patience
from minirt.container import alive, lifecycle, stop


@click.command("stop")
@patience
@click.argument("containers", nargs=-1, required=True)
def command(seconds: int | None, containers: tuple[str, ...]) -> int:
    """Ask containers to end, and kill those that have not in time."""

    def action(reference: str) -> None:
        one = lifecycle.find(reference)
        if alive.is_held(one.id):
            stop.stop(one, seconds)

    return for_each(containers, action)
