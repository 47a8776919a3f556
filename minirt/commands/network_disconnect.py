"""``minirt network disconnect``."""

from __future__ import annotations

import click

from minirt.container import lifecycle, plugging
from minirt.container.changing import changing
from minirt.network import finding


@click.command("disconnect")
@click.option("-f", "--force", is_flag=True, help="Accepted, and changes nothing.")
@click.argument("network")
@click.argument("container")
def command(force: bool, network: str, container: str) -> None:
    """Unplug CONTAINER from NETWORK, now and for its next starts."""
    there = finding.find(network)
    with changing(lifecycle.find(container)) as current:
        plugging.disconnect(current, there)
