"""``minirt rename``."""

from __future__ import annotations

import click

from minirt.container import lifecycle, renaming
from minirt.container.changing import changing


@click.command("rename")
@click.argument("container")
@click.argument("name")
def command(container: str, name: str) -> None:
    """Give CONTAINER the name NAME; it keeps running, and its networks learn it at once."""
    with changing(lifecycle.find(container)) as current:
        renaming.rename(current, name)
