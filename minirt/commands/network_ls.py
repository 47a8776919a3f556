"""``minirt network ls``."""

from __future__ import annotations

import click

from minirt.container import networks, tables
from minirt.network import finding


@click.command("ls")
@click.option("-q", "--quiet", is_flag=True, help="Only ids.")
@click.option("--no-trunc", is_flag=True, help="Cut nothing off.")
@click.option("-f", "--filter", "filters", multiple=True, metavar="KEY=VALUE",
              help="name, id, driver, scope, type, dangling, label.")  # fmt: skip
@click.option("--format", "form", default="", help="table, json, or a Go template for each row.")
def command(quiet: bool, no_trunc: bool, filters: tuple[str, ...], form: str) -> None:
    """List networks."""
    found = networks.kept(finding.everything(), filters)
    rows = [networks.row(one, cut=not no_trunc) for one in found]
    if quiet:
        form = form or "{{.ID}}"
    click.echo(tables.show(rows, networks.HEADERS, networks.COLUMNS, form), nl=False)
