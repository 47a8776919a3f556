"""``minirt restart``."""

from __future__ import annotations

from collections.abc import Callable

import click

from minirt.commands.each import for_each_at_once, patience
from minirt.container import alive, lifecycle, start, stop


@click.command("restart")
@patience
@click.argument("containers", nargs=-1, required=True)
def command(seconds: int | None, containers: tuple[str, ...]) -> int:
    """Stop containers that run, and start them again."""

    def begin(reference: str) -> Callable[[], object]:
        one = lifecycle.find(reference)
        wait = stop.begin_stop(one, seconds, restarts=True) if alive.is_held(one.id) else None

        def start_again() -> None:
            if wait is not None:
                wait()
            start.start(one, attach=False)

        return start_again

    return for_each_at_once(containers, begin)
