"""``minirt prune``."""

from __future__ import annotations

import click

from minirt.commands.agree import agreed
from minirt.container import alive, amounts, creation, lifecycle, listing, selection, sweeping
from minirt.errors import Conflict, NotFound, say


@click.command("prune")
@click.option("-f", "--force", is_flag=True, help="Don't ask.")
@click.option("--filter", "filters", multiple=True, metavar="KEY=VALUE", help="As of ps.")
def command(force: bool, filters: tuple[str, ...]) -> int:
    """Remove all containers that don't run."""
    if not agreed("This will remove all stopped containers.", force=force):
        return 0
    sweeping.sweep(all_records=True)
    removed, freed, code = [], 0, 0
    for one in selection.kept(lifecycle.all_records(), filters):
        if alive.is_held(one.id):
            continue
        size = listing.size(one)
        try:
            creation.begin_removal(one)()
        except NotFound:
            continue
        except Conflict as error:
            code = say(str(error), 1)
            continue
        removed.append(one.id)
        freed += size
    if removed:
        click.echo("Deleted Containers:\n" + "".join(f"{one}\n" for one in removed))
    click.echo(f"Total reclaimed space: {amounts.decimal(freed)}")
    return code
