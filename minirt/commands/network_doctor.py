"""``minirt network doctor``."""

from __future__ import annotations

import json
from dataclasses import asdict

import click


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.argument("networks", nargs=-1)
def command(as_json: bool, networks: tuple[str, ...]) -> int:
    """Find what is wrong with networks, or with all of them, and say how to mend it."""
    from minirt.container.tables import clean
    from minirt.explain import doctor
    from minirt.network import finding, store

    chosen = [finding.find(one) for one in networks] if networks else store.every()
    found = doctor.examine([one for one in chosen if one.has_bridge])
    faults = [one for one in found if one.is_fault]
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], indent=4, ensure_ascii=False))
        return 1 if faults else 0
    for one in found:
        word = "fault" if one.is_fault else "note"
        click.echo(clean(f"{word}: {one.where}: {one.what}"))
        if one.mend:
            click.echo(clean(f"    $ {one.mend}"))
    if not faults:
        click.echo(f"Nothing is wrong with {len(chosen)} network{'s' * (len(chosen) != 1)}.")
    return 1 if faults else 0
