"""``minirt volume create``."""

from __future__ import annotations

import click

from minirt.container import volumes
from minirt.container.flags import environment
from minirt.errors import InvalidRequest


@click.command("create")
@click.option("-d", "--driver", default="local", metavar="DRIVER", help="There is one: local.")
@click.option("--label", multiple=True, metavar="NAME=VALUE", help="A label.")
@click.argument("name", default="", metavar="[NAME]")
def command(driver: str, label: tuple[str, ...], name: str) -> None:
    """Make a volume, and print its name; nothing happens if it is there already."""
    if driver != "local":
        raise InvalidRequest(f"Unknown volume driver {driver}", "", "minirt has local volumes.")
    click.echo(volumes.create(name, environment.labels([], label)).name)
