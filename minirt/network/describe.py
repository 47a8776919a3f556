"""All that is known of a network, in the shape of ``docker network inspect``."""

from __future__ import annotations

from typing import Any

from minirt.network import leases, spec
from minirt.network.block import Block, interface
from minirt.network.spec import Network


def document(network: Network) -> dict[str, Any]:
    """Return what ``network inspect`` prints of a network."""
    return {
        "Name": network.name,
        "Id": network.id,
        "Created": network.created,
        "Scope": "local",
        "Driver": network.driver,
        "EnableIPv4": True,
        "EnableIPv6": network.subnet6 is not None,
        "IPAM": {"Driver": "default", "Options": {}, "Config": _pools(network)},
        "Internal": network.internal,
        "Attachable": network.attachable,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": _containers(network),
        "Options": _options(network),
        "Labels": network.labels,
        **({"DNS": network.dns} if network.dns else {}),
    }


def _pools(network: Network) -> list[dict[str, Any]] | None:
    if not network.has_plugs:
        return None
    return [_pool(block) for block in network.blocks]


def _pool(block: Block) -> dict[str, Any]:
    pool: dict[str, Any] = {"Subnet": str(block.subnet)}
    if block.range is not None:
        pool["IPRange"] = str(block.range)
    pool["Gateway"] = str(block.gateway)
    if block.aux:
        pool["AuxiliaryAddresses"] = {name: str(one) for name, one in block.aux.items()}
    return pool


def _containers(network: Network) -> dict[str, Any]:
    """Return the containers by their ids: one has a lease in each family."""
    shown: dict[str, Any] = {}
    for address, facts in leases.living(network).items() if network.has_plugs else ():
        one = shown.setdefault(
            facts.container,
            {
                "Name": facts.name,
                "EndpointID": facts.endpoint,
                "MacAddress": facts.mac,
                "IPv4Address": "",
                "IPv6Address": "",
            },
        )
        block = network.block(address.version)
        one[f"IPv{address.version}Address"] = str(interface(address, block.subnet))
    return shown


def _options(network: Network) -> dict[str, str]:
    if not network.is_default:
        return network.options
    return {
        "com.docker.network.bridge.default_bridge": "true",
        spec.ICC: "true",
        spec.MASQUERADE: "true",
        spec.HOST_BINDING: "0.0.0.0",
        spec.MTU: "1500",
    } | network.options
