"""``minirt pause``."""

from __future__ import annotations

import click

from minirt.commands.each import for_each
from minirt.container import lifecycle, pausing


@click.command("pause")
@click.argument("containers", nargs=-1, required=True)
def command(containers: tuple[str, ...]) -> int:
    """Let containers stand still: none of their processes gets a processor."""
    return for_each(containers, lambda name: pausing.pause(lifecycle.find(name)))
