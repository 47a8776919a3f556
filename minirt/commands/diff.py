"""``minirt diff``."""

from __future__ import annotations

import click

from minirt.container import differences, lifecycle
from minirt.container.tables import one_line


@click.command("diff")
@click.argument("container")
def command(container: str) -> None:
    """Show what a container has changed of its image: A added, C changed, D deleted."""
    for kind, path in differences.differences(lifecycle.find(container)):
        click.echo(f"{kind} {one_line(path)}")
