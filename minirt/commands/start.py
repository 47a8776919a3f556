"""``minirt start``."""

from __future__ import annotations

import click

from minirt.commands.each import check_input, detach_keys, for_each
from minirt.container import alive, attach, lifecycle, start
from minirt.container.attach import DETACHED
from minirt.container.detaching import keys
from minirt.container.start import Started
from minirt.errors import Conflict, InvalidRequest


@click.command("start")
@click.option("-a", "--attach", "attached", is_flag=True, help="Show its output; pass signals on.")
@click.option("-i", "--interactive", is_flag=True, help="Connect standard input too.")
@detach_keys
@click.argument("containers", nargs=-1, required=True)
def command(
    attached: bool, interactive: bool, detach_keys: str, containers: tuple[str, ...]
) -> int:
    """Start containers that exist and do not run."""
    leaving = keys(detach_keys)
    if not attached and not interactive:
        return for_each(containers, _start)
    if len(containers) > 1:
        raise InvalidRequest("Cannot attach to several containers", "one terminal shows one")
    one = lifecycle.find(containers[0])
    stdin = interactive and one.config.open_stdin
    check_input(tty=one.config.tty, stdin=stdin, remedy="Leave out -i.")
    if alive.is_held(one.id):
        started = Started(one, attach.connect(one, stdin=interactive))
    else:
        started = start.start(one, attach=True)
    line, outputs = started.attached(), started.outputs
    code = attach.converse(one, line, stdin=stdin, keys=leaving, outputs=outputs)
    return 0 if code == DETACHED else code


def _start(reference: str) -> None:
    one = lifecycle.find(reference)
    if lifecycle.is_paused(one):
        raise Conflict("Cannot start a paused container, try unpause instead")
    if not alive.is_held(one.id):  # As with Docker it is no error to be there already.
        start.start(one, attach=False)
