"""``minirt server stop``."""

from __future__ import annotations

import click

from minirt.container import servers


@click.command("stop")
def command() -> None:
    """End the fork servers. Containers go on, and the next command starts a server again.

    MINIRT_NO_SERVER=1 in the environment keeps commands from starting and using one.
    """
    count = servers.stop()
    click.echo(f"stopped {count}")
