"""``minirt network prune``."""

from __future__ import annotations

import click

from minirt.errors import Conflict

_WARNING = """\
WARNING! This will remove all custom networks not used by at least one container.
Are you sure you want to continue?"""


@click.command("prune")
@click.option("-f", "--force", is_flag=True, help="Don't ask.")
@click.option("--filter", "filters", multiple=True, metavar="KEY=VALUE",
              help="label, label!, until.")  # fmt: skip
def command(force: bool, filters: tuple[str, ...]) -> None:
    """Remove all networks that no container uses."""
    from minirt.container import networks
    from minirt.network import store
    from minirt.network.remove import remove

    candidates = networks.prunable(store.every(), filters)
    if not force and not _agreed():
        return
    removed = []
    for one in candidates:
        try:
            remove(one)
        except Conflict:
            continue  # A container has come meanwhile.
        removed.append(one.name)
    if removed:
        click.echo("Deleted Networks:\n" + "\n".join(removed) + "\n")


def _agreed() -> bool:
    """Ask; no answer is a no, and no error either."""
    try:
        return click.confirm(_WARNING, prompt_suffix=" ")
    except click.Abort:
        return False
