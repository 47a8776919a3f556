"""``minirt port``."""

from __future__ import annotations

import click

from minirt.container import lifecycle, published
from minirt.errors import InvalidRequest, NotFound


@click.command("port")
@click.argument("container")
@click.argument("port", default="", metavar="[PORT[/PROTOCOL]]")
def command(container: str, port: str) -> None:
    """List the ports of the host that lead to a container, or to one port of it."""
    one = lifecycle.find(container)
    bindings = published.bindings(one)
    if not port:
        for binding in bindings:
            click.echo(f"{binding.container_port}/{binding.protocol} -> {binding}")
        return
    number, _, protocol = port.partition("/")
    if not (number.isascii() and number.isdigit()):
        raise InvalidRequest(
            f"Invalid port ({number})", "it is not a number", "Write it like 80/tcp."
        )
    wanted = (int(number), protocol.lower() or "tcp")
    found = [one for one in bindings if (one.container_port, one.protocol) == wanted]
    if not found:
        remedy = f"'minirt port {container}' lists them all."
        raise NotFound(f"No public port '{port}' published for {container}", "", remedy)
    for binding in found:
        click.echo(str(binding))
