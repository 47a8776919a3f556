"""``minirt top``."""

from __future__ import annotations

import click

from minirt.container import lifecycle, process_list, tables
from minirt.errors import clean


@click.command("top", context_settings={"ignore_unknown_options": True})
@click.argument("container")
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[PS OPTIONS]")
def command(container: str, options: tuple[str, ...]) -> None:
    """List the processes of a container, with the PIDs that the host counts.

    The options are those of ps(1), which lists them: aux, -o pid,comm; -ef without any.
    """
    found = process_list.table(lifecycle.find_running(container), options)
    cleaned = [[clean(cell) for cell in row] for row in (found.heads, *found.rows)]
    click.echo(tables.aligned(cleaned, process_list.NARROWEST), nl=False)
    if found.left_out:
        click.echo(f"WARNING: {found.left_out} more processes are not listed", err=True)
