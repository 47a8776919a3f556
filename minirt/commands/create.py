"""``minirt create``."""

from __future__ import annotations

from typing import Any

import click

from minirt.commands.lean import Lean
from minirt.commands.run_options import SETTINGS, add_options, request, warn
from minirt.container import creation, options


@click.command("create", cls=Lean, context_settings=SETTINGS)
@add_options
def command(**flags: Any) -> None:
    """Make a container from IMAGE without starting it, and print its id."""
    asked = request({"detach": False, **flags})
    one = creation.create(asked)
    warn(options.ignored(one.config))
    if asked.cidfile:
        asked.cidfile.write_text(one.id)
    click.echo(one.id)
