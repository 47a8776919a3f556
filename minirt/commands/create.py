"""``minirt create``."""

from __future__ import annotations

from typing import Any

import click

from minirt.commands.lean import Lean
from minirt.commands.run_options import SETTINGS, add_options, request, warn
from minirt.container import creation, options
from minirt.container.undoing import taking_back


@click.command("create", cls=Lean, context_settings=SETTINGS)
@add_options
def command(**flags: Any) -> None:
    """Make a container from IMAGE without starting it, and print its id."""
    asked = request({"detach": False, **flags})
    with taking_back() as held:
        one = creation.create(asked)
        held.callback(creation.forget, one.id)
        if asked.cidfile:
            from minirt.kernel.output_files import write_new

            write_new(asked.cidfile, one.id)
    warn(options.ignored(one.config))
    click.echo(one.id)
