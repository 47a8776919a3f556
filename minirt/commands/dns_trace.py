"""``minirt dns trace``."""

from __future__ import annotations

from dataclasses import asdict

import click


@click.command("trace")
@click.option("--from", "reference", required=True, metavar="CONTAINER", help="Ask from inside it.")
@click.option("-t", "--type", "kind", default="", help="A (or PTR for an address), AAAA, MX, …")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.argument("name")
def command(reference: str, kind: str, as_json: bool, name: str) -> int:
    """Tell how a name resolves in a container: each name tried, each server asked, and why."""
    from minirt.commands.asker import asker, question
    from minirt.container.templates.json_text import dumped
    from minirt.errors import clean
    from minirt.explain import naming, naming_lines

    who = asker(reference)
    behind = naming.service(who)
    told = naming.trace(who, *question(name, kind))
    if as_json:
        found = {"service": asdict(behind) if behind else None, "asked": [asdict(x) for x in told]}
        click.echo(dumped(found, indent=4))
    else:
        click.echo(clean(naming_lines.trace(who, behind, told)), nl=False)
    return 0 if told and told[-1].reply.records else 1
