"""``minirt network doctor``."""

from __future__ import annotations

from dataclasses import asdict

import click

from minirt.explain.ailments_inside import Expected


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.argument("networks", nargs=-1)
def command(as_json: bool, networks: tuple[str, ...]) -> int:
    """Find what is wrong with networks, or with all of them, and say how to mend it."""
    from minirt.container.templates.json_text import dumped
    from minirt.errors import clean
    from minirt.explain import doctor
    from minirt.network import finding, store

    chosen = [finding.find(one) for one in networks] if networks else store.every()
    found = doctor.examine([one for one in chosen if one.has_bridge], _expected())
    faults = [one for one in found if one.is_fault]
    if as_json:
        click.echo(dumped([asdict(one) for one in found], indent=4))
        return 1 if faults else 0
    for one in found:
        word = "fault" if one.is_fault else "note"
        click.echo(clean(f"{word}: {one.where}: {one.what}"))
        if one.mend:
            click.echo(clean(f"    $ {one.mend}"))
    if not faults:
        click.echo(f"Nothing is wrong with {len(chosen)} network{'s' * (len(chosen) != 1)}.")
    return 1 if faults else 0


def _expected() -> dict[int, Expected]:
    """Return what each running container should have inside, by the pid of its init."""
    from minirt.container import etc_files, lifecycle, name_service, record
    from minirt.errors import MinirtError
    from minirt.network import finding, resolv_conf

    found = {}
    for one in lifecycle.all_records():
        init, plugs = lifecycle.init_of(one), record.load_endpoints(one.id)
        if init is None or not plugs:
            continue
        try:
            networks = [finding.find(name) for name in plugs]
            wanted = resolv_conf.read(name_service.plan(one, networks).text)
            written = resolv_conf.read(etc_files.read_resolv_conf(one))
        except MinirtError:
            continue  # It is just ending, or its file can't be read.
        ways = [(plug.gateway, plug.gateway6) for plug in plugs.values() if plug.is_way_out]
        gateways = tuple(gateway for way in ways for gateway in way if gateway)
        found[init[0]] = Expected(gateways, wanted, written)
    return found
