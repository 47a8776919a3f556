"""Beside a real ufw, with a configuration of its own: real traffic."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from integration import firewalls
from integration.conftest import Minirt
from integration.firewalls import forget_rules, ufw
from integration.guests import guest
from integration.peers import needs_peer
from integration.sandbox import Outside, shell
from integration.traces import Ground
from integration.traffic import ask_from, either_bridge, filter_bridges
from integration.wires import PEER, machine, network, served
from minirt.network import bridge

pytestmark = needs_peer("ufw", firewalls.PYTHON)


@pytest.fixture
def where(ground: Ground) -> Iterator[Path]:
    """Return a folder for its files."""
    yield ground.root.parent
    forget_rules()


@either_bridge
def test_containers_reach_each_other_and_the_outside_and_are_reached_by_published_ports(
    minirt: Minirt, image: str, outside: Outside, where: Path, bridged: str
) -> None:
    filter_bridges(bridged)
    with ufw(where) as firewall, served(outside):
        assert "Status: active" in firewall("status")
        assert "-P FORWARD DROP" in shell("iptables", "-S").stdout
        minirt("network", "create", "mynet")
        one = guest(minirt, "one", "--net", "mynet", "-p", "8080:80")
        two = guest(minirt, "two", "--net", "mynet")
        with one.serving(80):
            assert two.ask(one.address) == two.address
            assert two.ask(outside.address, 90) == outside.host_address
            assert ask_from(outside, outside.host_address, 8080) == outside.address
            assert two.ask(outside.host_address, 8080).startswith("172.")
            here = shell(*PEER, "ask", "tcp", outside.host_address, 8080).stdout.strip()
            assert here == outside.host_address
            outside.run("ip", "route", "add", one.address, "via", outside.host_address)
            assert ask_from(outside, one.address, 80) == "timeout"
            minirt("exec", "two", "ping", "-c1", "-W5", "one")


def test_when_ufw_comes_later_or_loads_its_rules_anew_it_drops_until_the_next_command(
    outside: Outside, where: Path
) -> None:
    net = network()
    with machine(net) as one, served(outside):
        assert one.ask(outside.address, 90) == outside.host_address
        with ufw(where) as firewall:
            assert one.ask(outside.address, 90) == "timeout"
            bridge.ensure(net)  # as the next command does
            assert one.ask(outside.address, 90) == outside.host_address
            firewall("reload")
            assert one.ask(outside.address, 90) == "timeout"
            bridge.ensure(net)
            assert one.ask(outside.address, 90) == outside.host_address


def test_what_is_added_is_told_and_taken_back_with_the_network(minirt: Minirt, where: Path) -> None:
    with ufw(where) as firewall:
        files, rules = firewall.files(), shell("iptables", "-S").stdout
        told = minirt("--explain", "network", "create", "net1").stderr
        assert "-A ufw-after-forward -j MINIRT" in told
        assert "-A ufw-after-forward -j MINIRT" in shell("iptables", "-S").stdout
        told = minirt("--explain", "network", "rm", "net1").stderr
        assert "-D ufw-after-forward 1" in told
        assert shell("iptables", "-S").stdout == rules
        assert firewall.files() == files


def test_what_the_admin_has_ufw_refuse_stays_refused(outside: Outside, where: Path) -> None:
    with ufw(where) as firewall, machine(network()) as one, served(outside):
        assert one.ask(outside.address, 90) == outside.host_address
        firewall("route", "deny", "out", "on", outside.link, "to", outside.address)
        assert one.ask(outside.address, 90) == "timeout"
