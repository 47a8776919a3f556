"""Published ports as the kernel knows them: elements of maps, and sockets that hold them."""

from __future__ import annotations

from dataclasses import dataclass

from minirt.explain.ruleset import Ruleset
from minirt.kernel import socket_diag

TABLE = ("inet", "minirt")
MAPS = ("pub4_addr", "pub4_any", "pub6_addr", "pub6_any")  # rules.nft


@dataclass(frozen=True, slots=True)
class Published:
    """A port of the host that leads to a container."""

    protocol: str
    host_ip: str  # empty: all addresses
    host_port: int
    address: str
    port: int
    is_held: bool = True  # a socket with the mark is there, without which the rule doesn't match


def look(rules: Ruleset) -> list[Published]:
    """Return all published ports, with whether somebody living holds each."""
    held = {(one.protocol, one.port) for one in socket_diag.bound() if one.mark}
    found = []
    for name in MAPS:
        known = rules.sets.get((*TABLE, name))
        for key, value in known.elements if known else ():
            words = key["concat"]
            protocol, port = str(words[-2]), int(words[-1])
            address, inner = value["concat"]
            host = str(words[0]) if len(words) == 3 else ""
            is_held = (protocol, port) in held
            found.append(Published(protocol, host, port, str(address), int(inner), is_held))
    return sorted(found, key=lambda one: (one.host_port, one.protocol, one.host_ip))
