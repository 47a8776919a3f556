"""``minirt volume rm``."""

from __future__ import annotations

import click

from minirt.commands.each import for_each
from minirt.container import volumes
from minirt.errors import NotFound


@click.command("rm")
@click.option("-f", "--force", is_flag=True, help="No error for one that is not there.")
@click.argument("names", nargs=-1, required=True, metavar="VOLUME…")
def command(force: bool, names: tuple[str, ...]) -> int:
    """Remove volumes and what is in them."""

    def action(name: str) -> None:
        try:
            volumes.remove(name)
        except NotFound:
            if not force:
                raise

    return for_each(names, action)
