"""``minirt dns query``."""

from __future__ import annotations

from dataclasses import asdict

import click


@click.command("query")
@click.option("--from", "reference", default="", metavar="CONTAINER", help="Ask from inside it.")
@click.option("-t", "--type", "kind", default="", help="A (or PTR for an address), AAAA, MX, …")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.argument("name")
def command(reference: str, kind: str, as_json: bool, name: str) -> int:
    """Ask for a name as a container's programs do, and say whose it is and who answered."""
    from minirt.commands.asker import asker, question
    from minirt.container.templates.json_text import dumped
    from minirt.errors import clean
    from minirt.explain import naming, naming_lines

    told = naming.query(asker(reference), *question(name, kind))
    if as_json:
        click.echo(dumped(asdict(told), indent=4))
    else:
        click.echo(clean("\n".join(naming_lines.answer(told))))
    return 0 if told.reply.records else 1
