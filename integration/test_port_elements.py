"""The elements by which published ports lead somewhere: whose they are, also among thousands."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address
from typing import Any

import pytest

from integration.sandbox import needs_tool, shell
from integration.wires import elements, network
from minirt.kernel import conntrack
from minirt.network import leases, nat, port_syntax, ports
from minirt.network.port_binding import Binding


def test_a_port_that_somebody_else_has_taken_over_is_left_to_him() -> None:
    net = network()
    old, new = leases.take(net), leases.take(net)
    held = ports.reserve(port_syntax.parse(["8080:80"]))
    nat.publish(held, old.address)
    nat.publish(held, new.address)  # the old element was stale: its owner has no socket
    nat.unpublish(held, old.address)
    assert elements() == {"tcp . 8080"}
    nat.unpublish(held, new.address)
    assert elements() == set()
    nat.unpublish(held, new.address)  # not there: nothing to do
    ports.close(held)
    for lease in (old, new):
        leases.release(lease)


def test_of_several_ports_only_those_change_that_are_the_callers() -> None:
    net = network()
    old, new = leases.take(net), leases.take(net)
    held = [Binding(protocol, 80, "0.0.0.0", 8080) for protocol in ("tcp", "udp")]
    nat.publish(held, old.address)
    nat.publish(held[:1], new.address)
    nat.unpublish(held, old.address)
    assert elements() == {"tcp . 8080"}
    nat.publish(held[1:], old.address)
    nat.publish(held, new.address)  # one is there already, the other leads elsewhere
    nat.unpublish(held, old.address)
    assert elements() == {"tcp . 8080", "udp . 8080"}
    shell("nft", "flush", "ruleset")
    nat.unpublish(held, new.address)  # nothing leads anywhere
    for lease in (old, new):
        leases.release(lease)


def test_a_port_comes_and_goes_among_five_thousand() -> None:
    """What it costs there, beside alone, bench.network tells."""
    network()
    one = [Binding("tcp", 80, "0.0.0.0", 8080)]
    many = [Binding("tcp", 80, "0.0.0.0", 10000 + number) for number in range(5000)]
    address = IPv4Address("172.18.0.2")
    nat.publish(many, address)
    assert len(elements()) == 5000
    nat.publish(one, address)
    assert elements() >= {"tcp . 8080", "tcp . 10000", "tcp . 14999"}
    nat.unpublish(one, address)
    assert len(elements()) == 5000
    nat.unpublish(many, address)
    assert elements() == set()


@needs_tool("conntrack")
def test_the_flows_to_a_thousand_ports_are_forgotten_in_one_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network()
    address = IPv4Address("172.18.0.2")
    many = [Binding("udp", 80, "0.0.0.0", 10000 + number) for number in range(1000)]
    asked: list[int] = []

    def spy(channel: socket.socket, kind: int, *rest: Any) -> None:
        asked.append(kind)
        send(channel, kind, *rest)

    send = conntrack._send
    monkeypatch.setattr(conntrack, "_send", spy)

    def flows() -> set[int]:
        """Return the ports to which the host has UDP flows."""
        shown = shell("conntrack", "-L", "-p", "udp").stdout.splitlines()
        words = [line.split(" src=")[1].split("dport=")[1].split()[0] for line in shown]
        return {int(one) for one in words}

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for port in (9999, 10500, 10999):
            client.sendto(b"x", ("127.0.0.1", port))
    assert flows() == {9999, 10500, 10999}
    nat.publish(many, address)
    assert flows() == {9999}
    assert asked == [conntrack._GET, conntrack._DELETE, conntrack._DELETE]
    nat.unpublish(many, address)
