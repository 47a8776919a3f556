"""``minirt wait``."""

from __future__ import annotations

import click

from minirt.commands.each import for_each
from minirt.container import lifecycle, stop


@click.command("wait")
@click.argument("containers", nargs=-1, required=True)
def command(containers: tuple[str, ...]) -> int:
    """Wait until containers have ended, and print their exit codes."""
    return for_each(containers, lambda reference: str(stop.wait(lifecycle.find(reference))))
