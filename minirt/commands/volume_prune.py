"""``minirt volume prune``."""

from __future__ import annotations

import click

from minirt.commands.agree import agreed
from minirt.container import amounts, listing, volume_rows, volumes
from minirt.errors import Conflict, NotFound, say


@click.command("prune")
@click.option("-a", "--all", "every", is_flag=True, help="Those with a name, too.")
@click.option("-f", "--force", is_flag=True, help="Don't ask.")
@click.option("--filter", "filters", multiple=True, metavar="KEY=VALUE",
              help="label, label!, all.")  # fmt: skip
def command(every: bool, force: bool, filters: tuple[str, ...]) -> int:
    """Remove all volumes without a name that no container has."""
    kind = "all local volumes" if every else "all anonymous local volumes"
    if not agreed(f"This will remove {kind} not used by at least one container.", force=force):
        return 0
    removed, freed, code = [], 0, 0
    for one in volume_rows.prunable(filters, named=every):
        size = listing.bytes_below(one.data)
        try:
            volumes.remove(one.name)
        except NotFound:
            continue
        except Conflict as error:
            code = say(str(error), 1)
            continue
        removed.append(one.name)
        freed += size
    if removed:
        click.echo("Deleted Volumes:\n" + "".join(f"{one}\n" for one in removed))
    click.echo(f"Total reclaimed space: {amounts.decimal(freed)}")
    return code
