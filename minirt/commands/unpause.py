"""``minirt unpause``."""

from __future__ import annotations

import click

from minirt.commands.each import for_each
from minirt.container import lifecycle, pausing


@click.command("unpause")
@click.argument("containers", nargs=-1, required=True)
def command(containers: tuple[str, ...]) -> int:
    """Let paused containers go on."""
    return for_each(containers, lambda name: pausing.unpause(lifecycle.find(name)))
