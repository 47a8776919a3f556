"""``minirt ps``."""

from __future__ import annotations

import click

from minirt.container import lifecycle, listing, selection, tables


@click.command("ps")
@click.option("-a", "--all", "every", is_flag=True, help="Those that don't run, too.")
@click.option("-q", "--quiet", is_flag=True, help="Only ids.")
@click.option("-n", "--last", type=int, default=0, metavar="N", help="The N that were made last.")
@click.option("-l", "--latest", is_flag=True, help="The one that was made last.")
@click.option("-s", "--size", is_flag=True, help="The bytes of their own files, too.")
@click.option("--no-trunc", is_flag=True, help="Cut nothing off.")
@click.option("-f", "--filter", "filters", multiple=True, metavar="KEY=VALUE",
              help="id, name, label, status, exited, ancestor, network, volume.")  # fmt: skip
@click.option("--format", "form", default="", help="table, json, or a Go template for each row.")
def command(
    every: bool,
    quiet: bool,
    last: int,
    latest: bool,
    size: bool,
    no_trunc: bool,
    filters: tuple[str, ...],
    form: str,
) -> None:
    """List containers that run."""
    wanted = 1 if latest else last
    words = {text.partition("=")[0] for text in filters}
    if not (every or wanted > 0 or words & {"status", "exited"}):
        filters = (*filters, "status=running", "status=paused")
    found = selection.kept(lifecycle.all_records(), filters)
    if wanted > 0:
        found = listing.last_created(found, wanted)
    rows = [listing.row(one, cut=not no_trunc) for one in found]
    if quiet:
        click.echo("".join(f"{row['ID']}\n" for row in rows), nl=False)
        return
    columns = (*listing.COLUMNS, "Size") if size else listing.COLUMNS
    click.echo(tables.show(rows, listing.HEADERS, columns, form), nl=False)
