"""``minirt restart``."""

from __future__ import annotations

import click

from minirt.commands.each import for_each, patience
from minirt.container import alive, lifecycle, start, stop


@click.command("restart")
@patience
@click.argument("containers", nargs=-1, required=True)
def command(seconds: int | None, containers: tuple[str, ...]) -> int:
    """Stop containers that run, and start them again."""

    def action(reference: str) -> None:
        one = lifecycle.find(reference)
        if alive.is_held(one.id):
            stop.stop(one, seconds)
        start.start(one, attach=False)

    return for_each(containers, action)
