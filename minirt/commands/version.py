"""``minirt version``."""

from __future__ import annotations

import click

from minirt.container.machine import version


@click.command("version")
@click.option("-f", "--format", "form", default="", help="json, or a Go template.")
def command(form: str) -> None:
    """Show the version of minirt and of what it stands on."""
    facts = version()
    if form:
        from minirt.container.templates import render

        click.echo(render("{{json .}}" if form == "json" else form, facts))
        return
    click.echo(f"minirt {facts['Version']}")
    click.echo(f"Python {facts['PythonVersion']}")
    click.echo(f"Linux {facts['KernelVersion']} {facts['Arch']}")
