"""``minirt network reload``."""

from __future__ import annotations

import click


@click.command("reload")
@click.argument("networks", nargs=-1)
def command(networks: tuple[str, ...]) -> None:
    """Mend networks, or all of them: bridges, wires, packet filter, published ports."""
    from minirt.network import finding, leases, mend, store

    found = [finding.find(one) for one in networks]
    if not networks:  # The default network is made when it is first used.
        found = [one for one in store.every() if not one.is_default or leases.in_use(one)]
    for network in found:
        if network.has_bridge:
            mend.mend(network)
            click.echo(network.name)
