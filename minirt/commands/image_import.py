"""``minirt image import``."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO

import click

from minirt.errors import kernel_refused


@click.command("import")
@click.argument("archive", metavar="TAR|-")
@click.argument("name", metavar="[NAME[:TAG]]", default="")
@click.option("-c", "--change", multiple=True, help="An instruction: 'CMD [\"sh\"]', 'ENV A=1', …")
@click.option("-m", "--message", default="", help="Said in the image's history.")
@click.option("--platform", default="", metavar="PLATFORM",
              help="What its programs are for: linux/arm64. (default: this machine)")  # fmt: skip
@click.option("--allow-devices", is_flag=True, help="Take device nodes from the archive.")
def command(
    archive: str,
    name: str,
    change: tuple[str, ...],
    message: str,
    platform: str,
    allow_devices: bool,
) -> None:
    """Make an image from the tar of a root file system, compressed or not."""
    from minirt.images.import_ import import_tar

    with opened(archive) as file:
        image_id, facts = import_tar(
            file,
            name,
            changes=change,
            message=message,
            platform=platform,
            allow_devices=allow_devices,
        )
    if facts.left_out:
        note = "device nodes below /dev left out: a container gets its own /dev."
        click.echo(f"minirt: {facts.left_out} {note}", err=True)
    click.echo(image_id)


def opened(archive: str) -> AbstractContextManager[BinaryIO]:
    """Open an archive by its path; ``-`` is standard input. Raises KernelRefused."""
    if archive == "-":
        return nullcontext(sys.stdin.buffer)
    try:
        return Path(archive).open("rb")
    except OSError as error:
        raise kernel_refused("Cannot read the archive", error) from error
