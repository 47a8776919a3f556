"""``minirt run``."""

from __future__ import annotations

from typing import Any

import click

from minirt.commands.each import check_input, detach_keys
from minirt.commands.lean import Lean
from minirt.commands.run_options import SETTINGS, add_options, request, warn
from minirt.container import attach, creation, options, start
from minirt.container.attach import DETACHED
from minirt.container.detaching import keys
from minirt.container.undoing import taking_back
from minirt.state import new_id


@click.command("run", cls=Lean, context_settings=SETTINGS)
@click.option("-d", "--detach", is_flag=True, help="Leave it running, and print its id.")
@click.option("--sig-proxy/--no-sig-proxy", default=True, help="Pass signals on (the default).")
@detach_keys
@add_options
def command(detach_keys: str, sig_proxy: bool, **flags: Any) -> int:
    """Run COMMAND in a new container made from IMAGE.

    The exit code is that of COMMAND; 125 if minirt could not run it, 126 if COMMAND can't be
    executed, 127 if there is no such command in the image.
    """
    leaving = keys(detach_keys)
    asked = request(flags)
    check_input(tty=asked.tty, stdin=asked.open_stdin and not asked.detach)
    container_id = new_id()
    with attach.signals_raise(), taking_back() as held:
        held.callback(creation.forget, container_id)
        started = start.run(asked, container_id, attach=not asked.detach)
        if asked.cidfile:
            from minirt.kernel.output_files import write_new

            write_new(asked.cidfile, container_id)
        mask = None if asked.detach else attach.hold_signals()
    one = started.record
    warn(options.ignored(one.config))
    if started.line is None:
        click.echo(one.id)
        return 0
    stdin = one.config.open_stdin
    code = attach.converse(
        *(one, started.line),
        stdin=stdin,
        proxy=sig_proxy,
        mask=mask,
        keys=leaving,
        outputs=started.outputs,
    )
    return 0 if code == DETACHED else code
