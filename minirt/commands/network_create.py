"""``minirt network create``."""

from __future__ import annotations

import click

from minirt.errors import InvalidRequest


@click.command("create")
@click.option("-d", "--driver", default="bridge", help="The kind of network: bridge, or macvlan.")
@click.option("--subnet", "subnets", multiple=True, metavar="CIDR", help="Its addresses.")
@click.option("--gateway", "gateways", multiple=True, metavar="IP", help="The bridge's address.")
@click.option("--ip-range", "ranges", multiple=True, metavar="CIDR",
              help="The part of the subnet that containers get addresses from.")  # fmt: skip
@click.option("--aux-address", "aux", multiple=True, metavar="NAME=IP",
              help="An address that no container gets.")  # fmt: skip
@click.option("--internal", is_flag=True, help="No way out of it, and none in.")
@click.option("--ipv6", is_flag=True, help="IPv6 as well.")
@click.option("--dns", multiple=True, metavar="ADDRESS",
              help="Whom its containers ask, instead of the host's servers.")  # fmt: skip
@click.option("--attachable", is_flag=True, help="Taken and shown by inspect; it changes nothing.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="A note on it.")
@click.option("-o", "--opt", "options", multiple=True, metavar="KEY=VALUE",
              help="Docker's options: com.docker.network.…; parent=LINK for macvlan.")  # fmt: skip
@click.argument("name")
def command(
    *,
    name: str,
    driver: str,
    subnets: tuple[str, ...],
    gateways: tuple[str, ...],
    ranges: tuple[str, ...],
    aux: tuple[str, ...],
    internal: bool,
    ipv6: bool,
    dns: tuple[str, ...],
    attachable: bool,
    labels: tuple[str, ...],
    options: tuple[str, ...],
) -> None:
    """Make a network and its bridge, and print its id."""
    from minirt.network.create import create
    from minirt.network.plan import Plan

    plan = Plan(
        name,
        driver,
        subnets=_each(subnets),
        gateways=_each(gateways),
        ranges=_each(ranges),
        aux=_each(aux),
        internal=internal,
        attachable=attachable,
        ipv6=ipv6,
        options=pairs(options, "opt"),
        labels=pairs(labels, "label"),
        dns=_each(dns),
    )
    click.echo(create(plan).id)


def _each(values: tuple[str, ...]) -> tuple[str, ...]:
    """Docker takes several values after one flag, too, with commas between."""
    return tuple(one for value in values for one in value.split(","))


def pairs(texts: tuple[str, ...], flag: str) -> dict[str, str]:
    """Read KEY=VALUE; a key alone has an empty value. Raises InvalidRequest."""
    found = {}
    for text in texts:
        key, _, value = text.partition("=")
        if not key:
            what = f'invalid argument "{text}" for "--{flag}" flag'
            raise InvalidRequest(what, "it has no name", "Write it as KEY=VALUE.")
        found[key] = value
    return found
