"""``minirt top``."""

from __future__ import annotations

import click

from minirt.container import lifecycle, process_list, tables


@click.command("top", context_settings={"ignore_unknown_options": True})
@click.argument("container")
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[-ef | aux | -o COLUMNS]")
def command(container: str, options: tuple[str, ...]) -> None:
    """List the processes of a container, with the PIDs that the host counts."""
    one = lifecycle.find_running(container)
    found, left_out = process_list.processes(one)
    rows = process_list.table(found, options)
    cleaned = [[tables.clean(cell) for cell in row] for row in rows]
    click.echo(tables.aligned(cleaned), nl=False)
    if left_out:
        click.echo(f"WARNING: {left_out} more processes are not listed", err=True)
