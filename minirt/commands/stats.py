"""``minirt stats``."""

from __future__ import annotations

import time

import click

from minirt.container import alive, lifecycle, tables, usage
from minirt.container.record import Record
from minirt.container.usage import Sample

INTERVAL = 1.0  # seconds between two samples
CLEAR = "\033[2J\033[H"  # console_codes(4)


@click.command("stats")
@click.option("-a", "--all", "every", is_flag=True, help="Those that don't run, too.")
@click.option("--no-stream", is_flag=True, help="Print it once.")
@click.option("--no-trunc", is_flag=True, help="Cut nothing off.")
@click.option("--format", "form", default="", help="table, json, or a Go template for each row.")
@click.argument("containers", nargs=-1)
def command(
    every: bool, no_stream: bool, no_trunc: bool, form: str, containers: tuple[str, ...]
) -> None:
    """Show what containers use, once a second: of processors, memory, networks and disks."""
    chosen = [lifecycle.find(name) for name in containers]
    before: dict[str, Sample | None] = {}
    while True:
        shown = chosen or _listed(every=every)
        before = {one.id: before.get(one.id) or usage.sample(one) for one in shown}
        time.sleep(INTERVAL)
        now = {one.id: usage.sample(one) for one in shown}
        rows = [usage.row(one, before[one.id], now[one.id], cut=not no_trunc) for one in shown]
        text = tables.show(rows, usage.HEADERS, usage.COLUMNS, form)
        if no_stream:
            click.echo(text, nl=False)
            alive = [row for one, row in zip(shown, rows, strict=True) if now[one.id]]
            for name in usage.missing(alive):
                click.echo(f"WARNING: this machine has no {name} controller", err=True)
            return
        click.echo(text if form else CLEAR + text, nl=False)
        before = now


def _listed(*, every: bool) -> list[Record]:
    return [one for one in lifecycle.all_records() if every or alive.is_held(one.id)]
