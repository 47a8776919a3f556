"""``minirt image load``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from minirt.errors import InvalidRequest


@click.command("load")
@click.option("-i", "--input", "source", help="The archive, or a folder in the OCI layout.")
@click.option(
    "-q", "--quiet", is_flag=True, help="Accepted for Docker's sake: there is no chatter."
)
@click.option("--allow-devices", is_flag=True, help="Take device nodes from the layers.")
def command(source: str | None, quiet: bool, allow_devices: bool) -> None:
    """Load images from an archive (docker save, podman save, OCI), compressed or not."""
    from minirt.images.load import load

    if source in (None, "-"):
        if sys.stdin.isatty():
            why = "standard input is a terminal"
            raise InvalidRequest("There is no archive", why, "Give one with -i, or by a pipe.")
        loaded = load(sys.stdin.buffer, allow_devices=allow_devices)
    else:
        loaded = load(Path(str(source)), allow_devices=allow_devices)
    left_out = sum(image.left_out for image in loaded)
    if left_out:
        note = "device nodes below /dev left out: a container gets its own /dev."
        click.echo(f"minirt: {left_out} {note}", err=True)
    for image in loaded:
        for name in image.names:
            click.echo(f"Loaded image: {name}")
        if not image.names:
            click.echo(f"Loaded image ID: {image.id}")
