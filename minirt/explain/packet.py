"""A packet on paper: what rules can ask about it, and how it looks to a reader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Packet:
    """The first packet of a connection, or the answer to it, at one point of its road."""

    source: Address
    target: Address
    protocol: str  # "tcp", "udp" or "icmp"
    port: int = 0  # where it goes to; 0: any
    source_port: int = 0  # 0: any, the kernel chooses it
    came_by: str = ""  # the link's name
    leaves_by: str = ""
    bridge: str = ""  # of the link it came by
    state: str = "new"  # for the connection tracker
    status: frozenset[str] = frozenset()  # "dnat", "snat"
    mark: int = 0
    mac: str = ""  # of the sender, on the wire
    target_mac: str = ""  # of the receiver, on the wire

    @property
    def version(self) -> int:
        """4 or 6."""
        return self.target.version

    @property
    def ends(self) -> str:
        """Who sends to whom."""
        return f"{end(self.source, self.source_port)} -> {end(self.target, self.port)}"


@dataclass(frozen=True, slots=True)
class Facts:
    """What rules ask of the machine rather than of the packet."""

    kind_of: Callable[[Address], str]  # "local", "unicast", … (fib type)
    socket_mark: Callable[[Packet], int | None]  # of the socket that would take it; None: none
    own_address: Callable[[str, int], Address | None]  # of a link, for "masquerade"


def end(address: Address, port: int) -> str:
    """Return an address with its port, if it has one."""
    if not port:
        return str(address)
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"
