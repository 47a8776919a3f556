"""``minirt network rm``."""

from __future__ import annotations

import click

from minirt.commands.each import for_each
from minirt.errors import NotFound


@click.command("rm")
@click.option("-f", "--force", is_flag=True, help="No error if it is not there.")
@click.argument("networks", nargs=-1, required=True)
def command(force: bool, networks: tuple[str, ...]) -> int:
    """Remove networks."""
    from minirt.network import finding
    from minirt.network.remove import remove

    def is_there(name: str) -> bool:
        try:
            finding.find(name)
        except NotFound:
            return False
        return True

    wanted = filter(is_there, networks) if force else networks
    return for_each(wanted, lambda name: remove(finding.find(name)))
