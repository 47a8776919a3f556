"""``minirt network explain``."""

from __future__ import annotations

import json
import shutil
import sys

import click

from minirt.errors import InvalidRequest


@click.command("explain")
@click.option("--dot", "form", flag_value="dot", help="For Graphviz.")
@click.option("--mermaid", "form", flag_value="mermaid", help="For Mermaid.")
@click.option("--json", "form", flag_value="json", help="For programs.")
@click.option("--ascii", "ascii_only", is_flag=True, help="Lines of plain characters.")
@click.argument("network")
def command(form: str | None, ascii_only: bool, network: str) -> None:
    """Draw a network as the kernel has it now: bridge, wires, containers, rules."""
    from minirt.errors import clean
    from minirt.explain import drawing, graphs, topology
    from minirt.network import finding

    found = finding.find(network)
    if not found.has_bridge:
        why = {
            "null": "its containers have no wire",
            "host": "it is the host's own",
            "macvlan": "its containers are on the LAN of the host; see minirt network path",
        }[found.driver]
        raise InvalidRequest(f"There is nothing to draw of the network {found.name}", why)
    picture = topology.gather(found)
    if form == "json":
        text = json.dumps(topology.document(picture), indent=4, ensure_ascii=False) + "\n"
    elif form == "dot":
        text = graphs.dot(picture)
    elif form == "mermaid":
        text = graphs.mermaid(picture)
    else:
        width = shutil.get_terminal_size((100, 24)).columns
        text = drawing.draw(picture, width, ascii_only=ascii_only or not _knows_boxes())
    click.echo(clean(text), nl=False)


def _knows_boxes() -> bool:
    """Say whether the output can carry the characters that boxes are made of."""
    try:
        "┌│─".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
