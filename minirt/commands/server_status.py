"""``minirt server status``."""

from __future__ import annotations

import click

from minirt.container import servers


@click.command("status")
def command() -> int:
    """Show the fork servers of this state; the exit code is 1 if none runs.

    A caller in other namespaces, or with other rights, has a server of its own.
    """
    found = [pid for pid, _ in servers.running()]
    for pid in found:
        click.echo(f"running, process {pid}")
    if not found:
        click.echo("not running")
    return 0 if found else 1
