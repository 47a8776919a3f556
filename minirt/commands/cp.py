"""``minirt cp``."""

from __future__ import annotations

import os
from contextlib import ExitStack

import click

from minirt.container import lifecycle, transfer
from minirt.container.tables import one_line
from minirt.container.transfer import Side
from minirt.errors import InvalidRequest
from minirt.kernel import beneath
from minirt.kernel.tree_copy import Copying

NO_SETUID = 0o1777  # A container's program must not become root's on the host.


@click.command("cp")
@click.option("-a", "--archive", is_flag=True, help="Keep the owners.")
@click.option("-L", "--follow-link", is_flag=True, help="Copy what a symlink SOURCE leads to.")
@click.option("-q", "--quiet", is_flag=True, help="Don't say what was left out.")
@click.argument("source")
@click.argument("target")
def command(archive: bool, follow_link: bool, quiet: bool, source: str, target: str) -> None:
    """Copy between a container, CONTAINER:PATH, and a path of the host.

    A folder is copied into a folder that is there; of SOURCE/. only what is in it.
    """
    outwards, inwards = _container(source), _container(target)
    if bool(outwards) == bool(inwards):
        why = "one side must be CONTAINER:PATH, and one a path of the host"
        raise InvalidRequest("Cannot copy", why)
    if "-" in (source, target):
        remedy = f"minirt exec {outwards or inwards} tar …"
        raise InvalidRequest("Cannot copy a stream", "cp copies files", remedy)
    how = Copying(None if archive else (0, 0), NO_SETUID if outwards and not archive else 0o7777)
    with ExitStack() as held:
        own = os.open("/", beneath.FOLDER)
        held.callback(os.close, own)
        theirs = held.enter_context(transfer.root_of(lifecycle.find(outwards or inwards)))
        sides = [
            Side(theirs, f"/{text.partition(':')[2].lstrip('/')}")
            if name
            else Side(own, os.path.join(os.getcwd(), text))  # noqa: PTH109, PTH118 - "/." stays
            for text, name in ((source, outwards), (target, inwards))
        ]
        transfer.copy(sides[0], sides[1], how, follow=follow_link)
    if how.left_out and not quiet:
        more = f" and {how.more_left_out} more" if how.more_left_out else ""
        names = one_line(", ".join(how.left_out)) + more
        click.echo(f"WARNING: left out, since they are no files: {names}", err=True)


def _container(text: str) -> str:
    """Return the container of CONTAINER:PATH; "" for a path of the host."""
    name, colon, _ = text.partition(":")
    return name if colon and "/" not in name and not name.startswith(".") else ""
