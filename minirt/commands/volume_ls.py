"""``minirt volume ls``."""

from __future__ import annotations

import click

from minirt.container import tables, volume_rows, volumes


@click.command("ls")
@click.option("-q", "--quiet", is_flag=True, help="Only names.")
@click.option("-f", "--filter", "filters", multiple=True, metavar="KEY=VALUE",
              help="name, label, dangling, driver.")  # fmt: skip
@click.option("--format", "form", default="", help="table, json, or a Go template for each row.")
def command(quiet: bool, filters: tuple[str, ...], form: str) -> None:
    """List volumes."""
    rows = [volume_rows.row(one) for one in volume_rows.kept(volumes.all_volumes(), filters)]
    if quiet:
        click.echo("".join(f"{row['Name']}\n" for row in rows), nl=False)
        return
    click.echo(tables.show(rows, volume_rows.HEADERS, volume_rows.COLUMNS, form), nl=False)
