"""``minirt attach``."""

from __future__ import annotations

import click

from minirt.commands.each import check_input, detach_keys
from minirt.container import attach, lifecycle
from minirt.container.attach import DETACHED
from minirt.container.detaching import keys
from minirt.errors import Conflict


@click.command("attach")
@click.option("--no-stdin", is_flag=True, help="Show the output only.")
@click.option("--sig-proxy/--no-sig-proxy", default=True, help="Pass signals on (the default).")
@detach_keys
@click.argument("container")
def command(no_stdin: bool, sig_proxy: bool, detach_keys: str, container: str) -> int:
    """Connect this terminal to a container; leave a terminal again with ctrl-p ctrl-q."""
    leaving = keys(detach_keys)
    one = lifecycle.find_running(container)
    if lifecycle.is_paused(one):
        what = "You cannot attach to a paused container, unpause it first"
        raise Conflict(what, "", f"minirt unpause {one.name}")
    stdin = one.config.open_stdin and not no_stdin
    remedy = "Leave its input alone, with --no-stdin."
    check_input(tty=one.config.tty, stdin=stdin, remedy=remedy)
    line = attach.connect(one, stdin=stdin)
    code = attach.converse(one, line, stdin=stdin, proxy=sig_proxy, keys=leaving)
    return 0 if code == DETACHED else code
