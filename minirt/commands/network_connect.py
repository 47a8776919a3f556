"""``minirt network connect``."""

from __future__ import annotations

import click

from minirt.container import lifecycle, plug_options, plugging
from minirt.container.changing import changing
from minirt.container.flags import network as flags
from minirt.container.record import EndpointRequest
from minirt.network import finding


@click.command("connect")
@click.option("--ip", default="", metavar="ADDRESS", help="Its IPv4 address there.")
@click.option("--ip6", default="", metavar="ADDRESS", help="Its IPv6 address there.")
@click.option("--mac-address", default="", metavar="MAC", help="Its MAC address there.")
@click.option("--alias", multiple=True, metavar="NAME", help="One more name there.")
@click.option("--gw-priority", default="0", metavar="N",
              help="The network of the highest gives the default route.")  # fmt: skip
@click.option("--driver-opt", multiple=True, metavar="KEY=VALUE",
              help="Docker's options com.docker.network.endpoint.ifname and .sysctls.")  # fmt: skip
@click.argument("network")
@click.argument("container")
def command(
    *,
    ip: str,
    ip6: str,
    mac_address: str,
    alias: tuple[str, ...],
    gw_priority: str,
    driver_opt: tuple[str, ...],
    network: str,
    container: str,
) -> None:
    """Plug CONTAINER into NETWORK, now and at its next starts."""
    there = finding.find(network)
    one = lifecycle.find(container)
    request = EndpointRequest(
        network_id=there.id,
        network=there.name,
        address=flags.ipv4(ip, "--ip"),
        address6=flags.ipv6(ip6, "--ip6"),
        mac=flags.mac_address(mac_address, "--mac-address"),
        aliases=list(alias),
        gw_priority=flags.gw_priority(gw_priority, "--gw-priority"),
        driver_opts=plug_options.read(driver_opt, "--driver-opt"),
    )
    with changing(one) as current:
        plugging.connect(current, there, request)
