"""``minirt version``."""

from __future__ import annotations

import click

from minirt.commands.inspected import check_template
from minirt.container.machine import version


@click.command("version")
@click.option("-f", "--format", "form", default="", help="json, or a Go template.")
def command(form: str) -> None:
    """Show the version of minirt and of what it stands on."""
    check_template(form)
    facts = version()
    if form:
        from minirt.container.templates import render

        click.echo(render("{{json .}}" if form == "json" else form, facts))
        return
    server = facts["Server"]
    click.echo(f"minirt {server['Version']}")
    click.echo(f"Python {server['Components'][0]['Details']['PythonVersion']}")
    click.echo(f"Linux {server['KernelVersion']} {server['Arch']}")
