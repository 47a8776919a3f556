"""``minirt network inspect``."""

from __future__ import annotations

import click

from minirt.commands.inspected import show
from minirt.container.templates.structs import Struct


@click.command("inspect")
@click.option("-f", "--format", "form", default="", help="json, or a Go template for each.")
@click.option("-v", "--verbose", is_flag=True, hidden=True)
@click.argument("networks", nargs=-1, required=True)
def command(form: str, verbose: bool, networks: tuple[str, ...]) -> int:
    """Show all that is known of networks."""
    from minirt.container import documents
    from minirt.network import describe, finding

    def look_up(name: str) -> Struct:
        return documents.network(describe.document(finding.find(name)))

    return show(networks, look_up, form)
