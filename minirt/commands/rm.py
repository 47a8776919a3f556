"""``minirt rm``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import click

from minirt.commands.each import for_each_at_once
from minirt.container import creation, ending, lifecycle, sweeping
from minirt.errors import NotFound


@click.command("rm")
@click.option("-f", "--force", is_flag=True, help="Kill it if it runs; no error if it's not there.")
@click.option("-v", "--volumes", is_flag=True, help="Remove its unnamed volumes too.")
@click.argument("containers", nargs=-1, required=True)
def command(force: bool, volumes: bool, containers: tuple[str, ...]) -> int:
    """Remove containers."""
    sweeping.sweep(all_records=True)
    deleting = ending.deleting_beside() if len(containers) > 1 else nullcontext(ending.delete_all)
    with deleting as delete:
        return for_each_at_once(containers, partial(_begin, delete, force=force, volumes=volumes))


def _begin(
    delete: ending.Delete, reference: str, *, force: bool, volumes: bool
) -> Callable[[], object]:
    try:
        one = lifecycle.find(reference)
    except NotFound:
        if force:
            return lambda: None
        raise
    return creation.begin_removal(one, force=force, volumes_too=volumes, delete=delete)
