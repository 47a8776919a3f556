"""All that is known of a network, in the shape of ``docker network inspect``."""

from __future__ import annotations

from typing import Any

from minirt.network import leases, spec
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
        "Attachable": False,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": _containers(network),
        "Options": _options(network),
        "Labels": network.labels,
    }


def _pools(network: Network) -> list[dict[str, Any]] | None:
    if not network.has_bridge:
        return None
    pool: dict[str, Any] = {"Subnet": str(network.subnet4)}
    if network.range4 is not None:
        pool["IPRange"] = str(network.range4)
    pool["Gateway"] = str(network.gateway4)
    if network.aux:
        pool["AuxiliaryAddresses"] = {name: str(one) for name, one in network.aux.items()}
    pools = [pool]
    if network.subnet6 is not None:
        pools.append({"Subnet": str(network.subnet6), "Gateway": str(network.gateway6)})
    return pools


def _containers(network: Network) -> dict[str, Any]:
    if not network.has_bridge:
        return {}
    return {
        facts.container: {
            "Name": facts.name,
            "EndpointID": facts.endpoint,
            "MacAddress": facts.mac,
            "IPv4Address": str(network.interface(address)),
            "IPv6Address": "",
        }
        for address, facts in leases.living(network).items()
    }


def _options(network: Network) -> dict[str, str]:
    if not network.is_default:
        return network.options
    return {
        "com.docker.network.bridge.default_bridge": "true",
        spec.ICC: "true",
        spec.MASQUERADE: "true",
        spec.HOST_BINDING: "0.0.0.0",
    } | network.options
