"""``minirt image save``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from minirt.errors import InvalidRequest, kernel_refused
from minirt.kernel import output_files


@click.command("save")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to write it.")
@click.argument("images", nargs=-1, required=True)
def command(output: Path | None, images: tuple[str, ...]) -> None:
    """Write images to an OCI archive, on standard output or to a file."""
    from minirt.images.save import save

    if output is None:
        if sys.stdout.isatty():
            why = "standard output is a terminal"
            raise InvalidRequest("An archive is not for eyes", why, "Use -o, or redirect it.")
        save(images, sys.stdout.buffer)
        return
    try:
        with output_files.replaced(output, 0o600) as file:
            save(images, file)
    except OSError as error:
        raise kernel_refused("Cannot write the archive", error) from error
