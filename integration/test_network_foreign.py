"""Beside other firewalls, which refuse what they don't know: with their own tools' rules.

Docker's chains are those that dockerd 26 makes, when it has set the policy of FORWARD to drop.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from integration.conftest import Minirt
from integration.firewalls import forget_rules
from integration.sandbox import Outside, in_netns, needs_tool, shell, started
from integration.traffic import ask_from, either_bridge, filter_bridges, published
from integration.wires import PEER, ask, machine, network, served
from minirt.network import bridge

DOCKER = """
-N DOCKER-USER
-A DOCKER-USER -j RETURN
-N DOCKER
-N DOCKER-ISOLATION-STAGE-1
-N DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-1 -i test-docker ! -o test-docker -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-1 -j RETURN
-A DOCKER-ISOLATION-STAGE-2 -o test-docker -j DROP
-A DOCKER-ISOLATION-STAGE-2 -j RETURN
-A DOCKER -d 198.18.0.2 ! -i test-docker -o test-docker -p tcp --dport 80 -j ACCEPT
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o test-docker -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o test-docker -j DOCKER
-A FORWARD -i test-docker ! -o test-docker -j ACCEPT
-A FORWARD -i test-docker -o test-docker -j ACCEPT
-P FORWARD DROP
-t nat -A PREROUTING -m addrtype --dst-type LOCAL -p tcp --dport 9090 -j DNAT --to 198.18.0.2:80
"""
UFW = """
-N ufw-before-forward
-N ufw-user-forward
-N ufw-after-forward
-A ufw-before-forward -j ufw-user-forward
-A FORWARD -j ufw-before-forward
-A FORWARD -j ufw-after-forward
-P FORWARD DROP
"""
PLAIN = "-P FORWARD DROP"
REJECTING = "-A FORWARD -j REJECT"
FIREWALLS = {"docker": DOCKER, "ufw": UFW, "a policy": PLAIN, "a last rule": REJECTING}

pytestmark = needs_tool("iptables-nft", "iptables-legacy")
either_iptables = pytest.mark.parametrize("iptables", ["iptables-nft", "iptables-legacy"])
each_firewall = pytest.mark.parametrize("firewall", FIREWALLS)


@pytest.fixture(autouse=True)
def leave_no_table() -> Iterator[None]:
    yield
    forget_rules()


def set_up(iptables: str, rules: str) -> None:
    for line in rules.strip().splitlines():
        shell(iptables, "--wait", "--wait", *line.split())


def saved(iptables: str) -> str:
    """Return the filter table, without what changes by itself."""
    return shell(iptables, "--wait", "-S").stdout


@either_iptables
@each_firewall
@either_bridge
def test_a_network_works_behind_a_firewall_that_drops_what_it_does_not_know(
    outside: Outside, iptables: str, firewall: str, bridged: str
) -> None:
    filter_bridges(bridged)
    set_up(iptables, FIREWALLS[firewall])
    net = network()
    with (
        machine(net) as one,
        machine(net) as two,
        published(one, "8080:80"),
        served(outside),
    ):
        assert one.ask(two.address, 80) == one.address
        assert one.ask(outside.address, 90) == outside.host_address
        assert ask_from(outside, outside.host_address, 8080) == outside.address
        assert two.ask(outside.host_address, 8080) in (str(net.gateway4), two.address)
        assert ask_from(outside, one.address, 80) != one.address


@either_iptables
@each_firewall
def test_without_our_rules_that_firewall_would_drop(
    outside: Outside, iptables: str, firewall: str
) -> None:
    net = network()
    with machine(net) as one, served(outside):
        assert one.ask(outside.address, 90) == outside.host_address
        set_up(iptables, FIREWALLS[firewall])  # a firewall that comes later
        assert one.ask(outside.address, 90) != outside.host_address
        bridge.ensure(net)  # as the next command does
        assert one.ask(outside.address, 90) == outside.host_address


@either_iptables
@each_firewall
def test_what_was_added_is_added_once_and_taken_back_with_the_network(
    minirt: Minirt, iptables: str, firewall: str
) -> None:
    set_up(iptables, FIREWALLS[firewall])
    before = saved(iptables)
    net = network()
    added = saved(iptables)
    assert f"-i {net.bridge} -j ACCEPT" in added
    assert added.splitlines()[:3] == before.splitlines()[:3]  # the policies
    bridge.ensure(net)
    assert saved(iptables) == added
    other = network("net2")
    minirt("network", "rm", net.name)
    assert net.bridge not in saved(iptables)
    assert other.bridge in saved(iptables)
    minirt("network", "rm", other.name)
    assert saved(iptables) == before


@either_iptables
def test_what_is_added_and_taken_back_is_told(minirt: Minirt, iptables: str) -> None:
    set_up(iptables, PLAIN)
    told = minirt("--explain", "network", "create", "net1").stderr
    assert re.search(rf"{iptables}.* -A MINIRT -i br-\w+ -j ACCEPT", told)
    assert re.search(rf"{iptables}.* -A FORWARD -j MINIRT", told)
    told = minirt("--explain", "network", "rm", "net1").stderr
    assert re.search(rf"{iptables}.* -D FORWARD ", told)
    assert re.search(rf"{iptables}.* -X MINIRT", told)


@either_iptables
def test_where_nobody_refuses_anything_nothing_is_added(iptables: str) -> None:
    shell(iptables, "--wait", "-A", "FORWARD", "-i", "eth9", "-j", "DROP")
    before = saved(iptables)
    network()
    assert saved(iptables) == before


@either_iptables
def test_a_rule_that_the_admin_put_where_docker_told_him_comes_first(
    outside: Outside, iptables: str
) -> None:
    set_up(iptables, DOCKER)
    shell(iptables, "--wait", "-I", "DOCKER-USER", "-d", outside.address, "-j", "DROP")
    with machine(network()) as one, served(outside):
        assert one.ask(outside.address, 90) == "timeout"


@either_iptables
def test_a_rule_that_the_admin_appends_later_comes_first_from_the_next_command_on(
    outside: Outside, iptables: str
) -> None:
    set_up(iptables, DOCKER.replace("-A DOCKER-USER -j RETURN\n", ""))  # as since Docker 28
    net = network()
    with machine(net) as one, served(outside):
        assert one.ask(outside.address, 90) == outside.host_address
        shell(iptables, "--wait", "-A", "DOCKER-USER", "-d", outside.address, "-j", "DROP")
        bridge.ensure(net)
        assert one.ask(outside.address, 90) == "timeout"
        assert saved(iptables).count("-j MINIRT") == 1


@either_iptables
def test_networks_of_docker_and_ours_reach_each_other_by_published_ports_only(
    outside: Outside, iptables: str
) -> None:
    set_up(iptables, DOCKER)
    with (
        machine(network()) as ours,
        published(ours, "8080:80"),
        started("unshare", "--net", *PEER, "serve", 80) as theirs,
    ):
        assert theirs.stdout and theirs.stdout.readline()
        far = ("peer", "name", "eth0", "netns", theirs.pid)
        shell("ip", "link", "add", "test-docker", "up", "type", "bridge")
        shell("ip", "addr", "add", "198.18.0.1/24", "dev", "test-docker")
        shell("ip", "link", "add", "test-veth", "up", "master", "test-docker", "type", "veth", *far)
        in_netns(theirs.pid, "ip", "addr", "add", "198.18.0.2/24", "dev", "eth0")
        in_netns(theirs.pid, "ip", "link", "set", "eth0", "up")
        in_netns(theirs.pid, "ip", "route", "add", "default", "via", "198.18.0.1")
        assert ask("198.18.0.2", 80) == "198.18.0.1"
        in_netns(ours.pid, "ping", "-c1", "-W1", "198.18.0.2", code=1)
        asking = (*PEER, "ask", "tcp")
        assert in_netns(theirs.pid, *asking, ours.address, 80).stdout.strip() == "timeout"
        assert ours.ask(outside.host_address, 9090) == "198.18.0.1"  # as whom the host asks
        found = in_netns(theirs.pid, *asking, outside.host_address, 8080).stdout.strip()
        assert found == "198.18.0.2"
        assert ask_from(outside, outside.host_address, 9090) == outside.address
        shell("ip", "link", "del", "test-docker")


@either_iptables
def test_names_resolve_where_the_host_lets_nothing_in(
    minirt: Minirt, image: str, iptables: str
) -> None:
    shell(iptables, "--wait", "-P", "INPUT", "DROP")
    minirt("network", "create", "--internal", "inside")
    minirt("run", "-d", "--name", "web", "--net", "inside", image, "sleep", "600")
    minirt("run", "--rm", "--net", "inside", image, "ping", "-c1", "-W5", "web")
