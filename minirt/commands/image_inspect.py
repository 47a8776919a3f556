"""``minirt image inspect``."""

from __future__ import annotations

import json

import click

from minirt.container.templates import render
from minirt.errors import MinirtError, say
from minirt.images import inspect, store


@click.command("inspect")
@click.option("-f", "--format", "template", default="", help="A Go template for each image.")
@click.argument("images", nargs=-1, required=True)
def command(template: str, images: tuple[str, ...]) -> int:
    """Show all that is known of images."""
    found, code = [], 0
    for reference in images:
        try:
            found.append(inspect.document(store.find(reference)))
        except MinirtError as error:
            code = say(str(error), 1)
    if template and template != "json":
        for one in found:
            click.echo(render(template, one))
    else:
        click.echo(json.dumps(found, indent=4))
    return code
