"""``minirt network inspect``."""

from __future__ import annotations

import json

import click

from minirt.commands.inspected import check_template
from minirt.container.templates import render
from minirt.container.templates.structs import as_json
from minirt.errors import MinirtError, say


@click.command("inspect")
@click.option("-f", "--format", "form", default="", help="json, or a Go template for each.")
@click.option("-v", "--verbose", is_flag=True, hidden=True)
@click.argument("networks", nargs=-1, required=True)
def command(form: str, verbose: bool, networks: tuple[str, ...]) -> int:
    """Show all that is known of networks."""
    from minirt.container import documents
    from minirt.network import describe, finding

    check_template(form)
    found, errors = [], []
    for one in networks:
        try:
            found.append(documents.network(describe.document(finding.find(one))))
        except MinirtError as error:
            errors.append(str(error))
    if not form:
        click.echo(json.dumps(found, indent=4, ensure_ascii=False, default=as_json))
    elif form == "json":
        click.echo("".join(f"{json.dumps(one)}\n" for one in found), nl=False)
    else:
        for document in found:
            click.echo(render(form, document))
    for message in errors:
        say(message, 1)
    return 1 if errors else 0
