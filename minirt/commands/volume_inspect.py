"""``minirt volume inspect``."""

from __future__ import annotations

import click

from minirt.commands.inspected import show
from minirt.container import documents, volume_rows, volumes
from minirt.container.templates.structs import Struct


@click.command("inspect")
@click.option("-f", "--format", "form", default="", help="json, or a Go template for each.")
@click.argument("names", nargs=-1, required=True, metavar="VOLUME…")
def command(form: str, names: tuple[str, ...]) -> int:
    """Show all that is known of volumes."""

    def look_up(name: str) -> Struct:
        return documents.volume(volume_rows.document(volumes.find(name)))

    return show(names, look_up, form)
