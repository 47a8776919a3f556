"""Asking from everywhere, and ports that a machine has published."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.sandbox import Outside, needs_file
from integration.wires import PEER, Machine
from minirt.network import nat, port_syntax, ports
from minirt.network.port_binding import Binding

UNREACHED = {"timeout", "Network is unreachable", "Connection refused"}


def ask_from(outside: Outside, host: str, port: int, protocol: str = "tcp") -> str:
    return outside.run(*PEER, "ask", protocol, host, port).stdout.strip()


@contextlib.contextmanager
def published(target: Machine, *texts: str) -> Iterator[list[Binding]]:
    """Publish ports of a machine for the body."""
    bindings = ports.reserve(port_syntax.parse(texts))
    nat.publish(bindings, target.lease.address)
    try:
        yield bindings
    finally:
        nat.unpublish(bindings, target.lease.address)
        ports.close(bindings)


# br_netfilter shows the packet filter also what is bridged, in the networks that switch it on.
BRIDGED = "/proc/sys/net/bridge/bridge-nf-call-iptables"
BRIDGED6 = "/proc/sys/net/bridge/bridge-nf-call-ip6tables"
either_bridge = pytest.mark.parametrize(
    "bridged", ["0", pytest.param("1", marks=needs_file(BRIDGED))]
)


def filter_bridges(value: str, value6: str = "") -> None:
    """Turn the switches, of IPv4 and of IPv6; by default both to the same value."""
    for switch, wanted in ((BRIDGED, value), (BRIDGED6, value6 or value)):
        if Path(switch).exists():
            Path(switch).write_text(wanted)
