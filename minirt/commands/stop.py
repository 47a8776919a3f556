"""``minirt stop``."""

from __future__ import annotations

from collections.abc import Callable

import click

from minirt.commands.each import for_each_at_once, patience
from minirt.container import alive, lifecycle, stop


@click.command("stop")
@patience
@click.argument("containers", nargs=-1, required=True)
def command(seconds: int | None, containers: tuple[str, ...]) -> int:
    """Ask containers to end, and kill those that have not in time."""

    def begin(reference: str) -> Callable[[], object]:
        one = lifecycle.find(reference)
        return stop.begin_stop(one, seconds) if alive.is_held(one.id) else lambda: None

    return for_each_at_once(containers, begin)
