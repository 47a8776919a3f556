"""What the flags of "network create" say about addresses: one block of each family at most."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TypeVar

from minirt.errors import InvalidRequest
from minirt.network.block import Address, Block, Subnet, ends
from minirt.network.plan import Plan

# RFC 6890. A network of ours may lie inside none of them; of IPv6, not even around one.
_NO_HOSTS = {
    "the loopback of a host": IPv4Network("127.0.0.0/8"),
    "multicast": IPv4Network("224.0.0.0/4"),
    "nobody yet": IPv4Network("240.0.0.0/4"),
    "this network": IPv4Network("0.0.0.0/8"),
}
_NO_HOSTS6 = {
    "hosts themselves, and IPv4": IPv6Network("::/80"),
    "single links": IPv6Network("fe80::/10"),
    "multicast": IPv6Network("ff00::/8"),
}
_NO_SUBNET = "every ip-range or gateway must have a corresponding subnet"
_T = TypeVar("_T")
_EXAMPLE = {4: "10.1.0.0/24", 6: "fd00:1::/64"}


def fixed(plan: Plan) -> dict[int, Block]:
    """Return the blocks that a plan fixes, by the version of IP; others are left to us.

    What it leaves open follows Docker: the gateway is the first free address of the range,
    else of the subnet. Raises InvalidRequest.
    """
    subnets = [_network(text, "subnet") for text in plan.subnets]
    _check_families(subnets)
    gateways = [_inside(text, subnets, "gateway") for text in plan.gateways]
    ranges = [_range(text, subnets) for text in plan.ranges]
    aux = [_auxiliary(text, subnets) for text in plan.aux]
    return {
        subnet.version: _block(
            subnet,
            _only([address for address in gateways if address in subnet]),
            _only([one for one in ranges if one.version == subnet.version]),
            {name: address for name, address in aux if address in subnet},
        )
        for subnet in subnets
    }


def automatic(subnet: Subnet) -> Block:
    """Return the block of a subnet that we chose."""
    return Block(subnet, subnet[1])


def _check_families(subnets: list[Subnet]) -> None:
    for version in (4, 6):
        same = [one for one in subnets if one.version == version]
        if len(same) > 1:
            if same[0].overlaps(same[1]):
                what = "multiple overlapping subnet configuration is not supported"
                raise InvalidRequest(what, f"{same[0]} and {same[1]} share addresses")
            why = f"one of IPv4 and one of IPv6, not {same[0]} and {same[1]}"
            raise InvalidRequest("bridge driver doesn't support multiple subnets", why)


def _block(
    subnet: Subnet, named: Address | None, pool: Subnet | None, aux: dict[str, Address]
) -> Block:
    if named in ends(subnet):
        raise InvalidRequest(f"failed to allocate gateway ({named})", "Address already in use")
    gateway = named or _first_free(pool or subnet, subnet, set(aux.values()))
    taken = [gateway, *ends(subnet)] if named is None else [gateway]
    for name, address in aux.items():
        if address in taken:
            what = f"failed to allocate secondary ip address ({name}:{address})"
            raise InvalidRequest(what, "Address already in use")
        taken.append(address)
    return Block(subnet, gateway, pool, aux, chosen=True)


def _only(found: Sequence[_T]) -> _T | None:
    if len(found) > 1:
        raise InvalidRequest(_NO_SUBNET, f"{found[0]} and {found[1]} have the same")
    return found[0] if found else None


def _network(text: str, kind: str) -> Subnet:
    what, remedy = f"invalid {kind} {text}", f"Write it as {_EXAMPLE[6 if ':' in text else 4]}."
    if "/" not in text or "%" in text:  # "%": a link, which no network of ours is bound to
        raise InvalidRequest(what, "invalid CIDR block notation", remedy)
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise InvalidRequest(what, "invalid CIDR block notation", remedy) from None
    if ip_address(text.partition("/")[0]) != network.network_address:
        raise InvalidRequest(what, f"it should be {network}")
    special = _special(network)
    if special:
        example = _EXAMPLE[network.version]
        raise InvalidRequest(what, f"its addresses are for {special}", f"Take {example}.")
    if kind == "subnet" and network.num_addresses == 1:
        raise InvalidRequest(what, "it has no address for a container", "Take a larger one.")
    return network


def _special(network: Subnet) -> str:
    """Say what a network's addresses are for that no host can have, if so."""
    if isinstance(network, IPv4Network):
        return next((what for what, one in _NO_HOSTS.items() if network.subnet_of(one)), "")
    return next((what for what, one in _NO_HOSTS6.items() if network.overlaps(one)), "")


def _range(text: str, subnets: list[Subnet]) -> Subnet:
    try:
        pool: Subnet | None = ip_network(text, strict=False)
    except ValueError:
        pool = None
    if pool is None or "%" in text or not any(pool.overlaps(subnet) for subnet in subnets):
        raise InvalidRequest(f"no matching subnet for range {text}")
    parent = next(subnet for subnet in subnets if pool.overlaps(subnet))
    if pool.prefixlen < parent.prefixlen:
        why = f"CIDR block is bigger than its parent subnet {parent}"
        raise InvalidRequest(f"invalid ip-range {text}", why)
    return _network(text if "/" in text else f"{text}/{pool.max_prefixlen}", "ip-range")


def _auxiliary(text: str, subnets: list[Subnet]) -> tuple[str, Address]:
    name, _, address = text.partition("=")
    return name, _inside(address, subnets, "aux-address")


def _inside(text: str, subnets: list[Subnet], kind: str) -> Address:
    try:
        address: Address | None = ip_address(text)
    except ValueError:
        address = None
    if address is None or "%" in text or not any(address in subnet for subnet in subnets):
        raise InvalidRequest(f"no matching subnet for {kind} {text}")
    return address


def _first_free(pool: Subnet, subnet: Subnet, aux: set[Address]) -> Address:
    taken = aux | set(ends(subnet))
    for address in pool:
        if address not in taken:
            return address
    raise InvalidRequest("failed to allocate gateway ()", "no available addresses on this pool")
