"""``minirt image inspect``."""

from __future__ import annotations

import click

from minirt.commands.inspected import show
from minirt.container import documents
from minirt.images import inspect, store


@click.command("inspect")
@click.option("-f", "--format", "form", default="", help="json, or a Go template for each.")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE…")
def command(form: str, images: tuple[str, ...]) -> int:
    """Show all that is known of images."""
    return show(images, lambda one: documents.image(inspect.document(store.find(one))), form)
