"""``minirt diff``."""

from __future__ import annotations

import click

from minirt.container import differences, lifecycle
from minirt.container.tables import one_line


@click.command("diff")
@click.argument("container")
def command(container: str) -> None:
    """Show what a container has changed of its image: A added, C changed, D deleted."""
    unread = 0
    for kind, path in differences.differences(lifecycle.find(container)):
        if kind == differences.UNREAD:
            unread += 1
        else:
            click.echo(f"{kind} {one_line(path)}")
    if unread:
        what = f"WARNING: what is in {unread} directories is not shown: their paths are too long"
        click.echo(what, err=True)
