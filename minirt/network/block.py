"""The addresses of a network in one family: IPv4 or IPv6."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)

Address = IPv4Address | IPv6Address
Interface = IPv4Interface | IPv6Interface
Subnet = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Block:
    """A subnet and what is decided about its addresses."""

    subnet: Subnet
    gateway: Address
    range: Subnet | None = None  # addresses that nobody asks for by name come from here
    aux: Mapping[str, Address] = field(default_factory=dict)  # kept for others
    chosen: bool = False  # the subnet was asked for, so addresses of it may be

    @property
    def version(self) -> int:
        """4 or 6."""
        return self.subnet.version

    @property
    def pool(self) -> Subnet:
        """Where addresses come from that nobody asks for by name."""
        return self.range or self.subnet

    def reserved(self) -> dict[Address, str]:
        """Return the addresses that no container may have, and what each of them is."""
        found: dict[Address, str] = {self.gateway: "the gateway"}
        found |= {address: f"kept for {name}" for name, address in self.aux.items()}
        names = ("the address of the network itself", "the broadcast address")
        return found | dict(zip(ends(self.subnet), names, strict=False))


def ends(subnet: Subnet) -> tuple[Address, ...]:
    """Return the addresses that mean a subnet rather than one host of it.

    The first of IPv4 names the network itself, the last all its hosts (RFC 919, section 7),
    except in one of two addresses (RFC 3021). The first of IPv6 is that of any router
    (RFC 4291, section 2.6.1), but for the same exception (RFC 6164); the last is one like others.
    """
    if subnet.num_addresses <= 2:
        return ()
    if isinstance(subnet, IPv6Network):
        return (subnet.network_address,)
    return subnet.network_address, subnet.broadcast_address


def interface(address: Address, subnet: Subnet) -> Interface:
    """Return an address with the prefix length of its subnet."""
    if isinstance(address, IPv6Address):
        return IPv6Interface((address, subnet.prefixlen))
    return IPv4Interface((address, subnet.prefixlen))
