"""What a network is: its file, read and written.

ROOT/networks/NAME.json     written once, by "network create"; there until "network rm"
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Network,
)
from typing import Any

from minirt.network.block import Address, Block

# Docker's names for a bridge's options, so that its command lines work here.
BRIDGE_NAME = "com.docker.network.bridge.name"
MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"
ICC = "com.docker.network.bridge.enable_icc"
HOST_BINDING = "com.docker.network.bridge.host_binding_ipv4"
OUTBOUND4 = "com.docker.network.host_ipv4"  # as whom containers go out
OUTBOUND6 = "com.docker.network.host_ipv6"
MTU = "com.docker.network.driver.mtu"
INTERFACE_PREFIX = "com.docker.network.container_iface_prefix"
INHIBIT4 = "com.docker.network.bridge.inhibit_ipv4"  # the gateway is not the bridge
GATEWAY_MODE = "com.docker.network.bridge.gateway_mode_ipv"  # and the version of IP
ISOLATE = "isolate"  # podman's; here all are
PARENT, MACVLAN_MODE = "parent", "macvlan_mode"  # of networks without a bridge (macvlan.py)
MACVLAN, MACVLAN_MODES = "macvlan", ("bridge", "private", "vepa", "passthru")

DEFAULT = "bridge"  # The network of containers that name none.
DEFAULT_BRIDGE = "minirt0"
NOTHING = IPv4Network("0.0.0.0/32")  # The subnet of what has none: "host" and "none".

# Go's strconv.ParseBool, which Docker reads such options with.
TRUE = {"1", "t", "T", "TRUE", "true", "True"}
FALSE = {"0", "f", "F", "FALSE", "false", "False"}


@dataclass(frozen=True, slots=True)
class Network:
    """A network: what its creator asked for, with everything decided that was left open."""

    id: str
    name: str
    created: str  # RFC 3339, with nanoseconds, in UTC
    driver: str = "bridge"  # or MACVLAN; "host" and "null" for the two that are no networks
    bridge: str = ""  # the name of its link
    adopted: bool = False  # the bridge was there before, and stays when the network goes
    subnet4: IPv4Network = NOTHING
    gateway4: IPv4Address = NOTHING.network_address
    range4: IPv4Network | None = None  # addresses that nobody asks for by name come from here
    aux: dict[str, IPv4Address] = field(default_factory=dict)  # kept for others
    chosen: bool = False  # the subnet was asked for, so addresses of it may be
    subnet6: IPv6Network | None = None
    gateway6: IPv6Address | None = None
    range6: IPv6Network | None = None
    aux6: dict[str, IPv6Address] = field(default_factory=dict)
    chosen6: bool = False
    internal: bool = False
    attachable: bool = False  # told by inspect; it would matter in a Swarm cluster only
    options: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    dns: list[str] = field(default_factory=list)  # whom its resolver asks, instead of the host's

    @property
    def has_bridge(self) -> bool:
        """Whether it is a bridge, with what belongs to one."""
        return self.driver == "bridge"

    @property
    def has_plugs(self) -> bool:
        """Whether containers get a plug in it, with an address: all but "host" and "none"."""
        return self.driver in ("bridge", MACVLAN)

    @property
    def is_default(self) -> bool:
        """Whether it is the network on which names don't resolve, as with Docker."""
        return self.name == DEFAULT

    @property
    def gateway(self) -> IPv4Interface:
        """The bridge's own address."""
        return self.interface(self.gateway4)

    @property
    def masquerade(self) -> bool:
        """Whether what leaves the network bears the host's address."""
        return not self.internal and self.options.get(MASQUERADE) not in FALSE

    @property
    def icc(self) -> bool:
        """Whether its containers reach each other ("inter-container communication")."""
        return self.options.get(ICC) not in FALSE

    @property
    def mtu(self) -> int:
        """The largest packet in bytes; 0: as large as the way out of the host takes."""
        return int(self.options.get(MTU) or 0)

    @property
    def host_binding(self) -> str:
        """The host's address for ports published without one; empty: all addresses."""
        return self.options.get(HOST_BINDING, "")

    @property
    def interface_prefix(self) -> str:
        """What links are called inside containers, less their number."""
        return self.options.get(INTERFACE_PREFIX) or "eth"

    def is_isolated(self, version: int) -> bool:
        """Whether the host has no address on it, so that its containers reach but each other."""
        return self.options.get(f"{GATEWAY_MODE}{version}") == "isolated"

    def gives_gateway(self, version: int) -> bool:
        """Whether the bridge has the gateway's address of a family."""
        inhibited = version == 4 and self.options.get(INHIBIT4) in TRUE
        return not inhibited and not self.is_isolated(version)

    def interface(self, address: IPv4Address) -> IPv4Interface:
        """Return ``address`` with the prefix length of this network."""
        return IPv4Interface((address, self.subnet4.prefixlen))

    def reserved(self) -> dict[Address, str]:
        """Return the IPv4 addresses that no container may have, and what each of them is."""
        return self.block4.reserved()

    @property
    def block4(self) -> Block:
        """What is decided about its IPv4 addresses."""
        return Block(self.subnet4, self.gateway4, self.range4, self.aux, self.chosen)

    @property
    def block6(self) -> Block | None:
        """What is decided about its IPv6 addresses; None: it has none."""
        if self.subnet6 is None or self.gateway6 is None:
            return None
        return Block(self.subnet6, self.gateway6, self.range6, self.aux6, self.chosen6)

    def block(self, version: int) -> Block:
        """Return the block of a family, which it has."""
        return next(block for block in self.blocks if block.version == version)

    @property
    def blocks(self) -> list[Block]:
        """Its blocks, IPv4 first: of "host" and "none" there is nothing."""
        if not self.has_plugs:
            return []
        return [self.block4, *([self.block6] if self.block6 else [])]


def fields_of(block: Block) -> dict[str, Any]:
    """Return the fields of a network that a block fills."""
    six = "6" if block.version == 6 else ""
    return {
        f"subnet{block.version}": block.subnet,
        f"gateway{block.version}": block.gateway,
        f"range{block.version}": block.range,
        f"aux{six}": dict(block.aux),
        f"chosen{six}": block.chosen,
    }


def to_json(network: Network) -> dict[str, Any]:
    """Return the document of a network: addresses as text, what is empty left out."""
    document: dict[str, Any] = {}
    for name in (one.name for one in fields(network)):
        value = getattr(network, name)
        if name in ("aux", "aux6"):
            value = {key: str(address) for key, address in value.items()}
        elif not isinstance(value, str | bool | dict | list | None):
            value = str(value)
        if value or name in ("id", "name", "created"):
            document[name] = value
    return document


def from_json(document: dict[str, Any]) -> Network:
    """Read the document of a network; keys of a later minirt are passed over."""
    names = {one.name for one in fields(Network)}
    values = {key: value for key, value in document.items() if key in names}
    readers: dict[str, Any] = {
        "subnet4": IPv4Network,
        "gateway4": IPv4Address,
        "range4": IPv4Network,
        "subnet6": IPv6Network,
        "gateway6": IPv6Address,
        "range6": IPv6Network,
        "aux": lambda kept: {name: IPv4Address(one) for name, one in kept.items()},
        "aux6": lambda kept: {name: IPv6Address(one) for name, one in kept.items()},
    }
    for key, read in readers.items():
        if key in values:
            values[key] = read(values[key])
    return Network(**values)
