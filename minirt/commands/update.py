"""``minirt update``."""

from __future__ import annotations

from typing import Any

import click

from minirt.commands.each import for_each
from minirt.commands.run_options import LIMITS
from minirt.container import updating
from minirt.errors import InvalidRequest


def _add_limits(function: Any) -> Any:
    for option in reversed(LIMITS):
        function = option(function)
    return function


@click.command("update")
@_add_limits
@click.argument("containers", nargs=-1, required=True)
def command(containers: tuple[str, ...], **limits: Any) -> int:
    """Change the limits of containers, also of those that run."""
    asked = {flag: value for flag, value in limits.items() if value}
    if not asked:
        raise InvalidRequest("You must provide one or more flags when using this command")
    updating.check(asked)
    return for_each(containers, lambda name: updating.update(name, asked))
