"""Beside a real firewalld, with a bus and a configuration of its own: real traffic."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.firewalls import Firewall, bus, firewalld, forget_rules, needs_firewalld
from integration.guests import guest
from integration.sandbox import PATIENCE, Outside, in_netns, shell, started
from integration.test_network_doctor import found, typed
from integration.traces import Ground
from integration.traffic import ask_from, either_bridge, filter_bridges
from integration.wires import PEER, machine, network, served
from minirt.network import bridge
from minirt.network import firewalld as zones

__all__ = ["typed"]
pytestmark = needs_firewalld()
either_backend = pytest.mark.parametrize("backend", ["nftables", "iptables"])
NAMED = "com.docker.network.bridge.name=test-br"
CUT_OFF = {"No route to host", "timeout", "Permission denied", "Connection refused"}

Start = Callable[..., AbstractContextManager[Firewall]]


@pytest.fixture
def start(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Return what keeps a firewalld running for a body."""
    where = ground.root.parent / "f"
    where.mkdir()
    with bus(where) as address:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
        yield lambda *words, **settings: firewalld(where, *words, **settings)
    forget_rules()


def rules_of_firewalld() -> str:
    return shell("nft", "list", "table", "inet", "firewalld").stdout


@either_backend
@either_bridge
def test_containers_reach_each_other_and_the_outside_and_are_reached_by_published_ports(
    minirt: Minirt, image: str, outside: Outside, start: Start, backend: str, bridged: str
) -> None:
    filter_bridges(bridged)
    with start(backend) as firewall, served(outside):
        assert firewall("--get-default-zone") == "public"
        minirt("network", "create", "mynet")
        one = guest(minirt, "one", "--net", "mynet", "-p", "8080:80")
        two = guest(minirt, "two", "--net", "mynet")
        with one.serving(80):
            assert two.ask(one.address) == two.address
            assert two.ask(outside.address, 90) == outside.host_address
            assert ask_from(outside, outside.host_address, 8080) == outside.address
            here = shell(*PEER, "ask", "tcp", outside.host_address, 8080).stdout.strip()
            assert here not in CUT_OFF
            assert two.ask(outside.host_address, 8080) not in CUT_OFF
            outside.run("ip", "route", "add", one.address, "via", outside.host_address)
            assert ask_from(outside, one.address, 80) in CUT_OFF
        with started(*PEER, "serve", 91) as hosts:  # The zone lets in, too; the chain doesn't.
            assert hosts.stdout and hosts.stdout.readline()
            assert (two.ask(outside.host_address, 91) in CUT_OFF) == (backend == "iptables")
            assert ask_from(outside, outside.host_address, 91) in CUT_OFF
        minirt("exec", "two", "ping", "-c1", "-W5", "one")


@either_backend
def test_over_ipv6_too(
    minirt: Minirt, image: str, outside6: Outside, start: Start, backend: str
) -> None:
    with start(backend) as firewall, served(outside6):
        minirt("network", "create", "--ipv6", "mynet")
        one = guest(minirt, "one", "--net", "mynet", "-p", "8080:80")
        two = guest(minirt, "two", "--net", "mynet")
        (address,) = (each["GlobalIPv6Address"] for each in one.networks.values())
        with one.serving(80):
            assert two.ask(address) == two.networks["mynet"]["GlobalIPv6Address"]
            assert two.ask(outside6.address, 90) == outside6.host_address
            assert ask_from(outside6, outside6.host_address, 8080) == outside6.address
            assert two.ask(outside6.host_address, 8080) not in CUT_OFF
            outside6.run("ip", "route", "add", address, "via", outside6.host_address)
            assert ask_from(outside6, address, 80) in CUT_OFF
            firewall("--reload")
            assert two.ask(outside6.address, 90) in CUT_OFF
            minirt("network", "reload")
            assert two.ask(outside6.address, 90) == outside6.host_address


@either_backend
@either_bridge
def test_when_firewalld_comes_later_it_drops_until_the_next_command(
    outside: Outside, start: Start, backend: str, bridged: str
) -> None:
    net = network()
    with machine(net) as one, machine(net) as two, served(outside):
        assert one.ask(outside.address, 90) == outside.host_address
        with start(backend):
            filter_bridges(bridged)
            assert one.ask(outside.address, 90) in CUT_OFF
            assert (one.ask(two.address, 80) in CUT_OFF) == (bridged == "1")
            bridge.ensure(net)  # as the next command does
            assert one.ask(outside.address, 90) == outside.host_address
            assert one.ask(two.address, 80) == one.address
            filter_bridges("0")


def test_without_a_table_rules_come_and_go_in_the_chain_for_others(
    minirt: Minirt, start: Start
) -> None:
    with start("iptables"):
        before = shell("iptables", "-S").stdout
        minirt("network", "create", "-o", NAMED, "net1")
        added = shell("iptables", "-S").stdout
        assert "-A FORWARD_direct -j MINIRT\n" in added
        assert "-A MINIRT -i test-br -j ACCEPT\n" in added
        minirt("network", "rm", "net1")
        assert shell("iptables", "-S").stdout == before


@either_backend
def test_after_a_reload_the_next_command_mends(
    minirt: Minirt, image: str, outside: Outside, start: Start, backend: str
) -> None:
    with start(backend) as firewall, served(outside):
        minirt("network", "create", "mynet")
        one = guest(minirt, "one", "--net", "mynet", "-p", "8080:80")
        with one.serving(80):
            assert one.ask(outside.address, 90) == outside.host_address
            firewall("--reload")
            assert one.ask(outside.address, 90) in CUT_OFF
            minirt("network", "reload")
            assert one.ask(outside.address, 90) == outside.host_address
            assert ask_from(outside, outside.host_address, 8080) == outside.address


def test_what_is_added_is_told_and_taken_back_with_the_network(
    minirt: Minirt, start: Start
) -> None:
    with start() as firewall:
        firewall("--zone=trusted", "--add-interface=test-other")  # The zone's own chains stay.
        files, rules = firewall.files(), rules_of_firewalld()
        told = minirt("--explain", "network", "create", "-o", NAMED, "net1").stderr
        assert "firewall-cmd --zone=trusted --add-interface=test-br" in told
        assert firewall("--get-zone-of-interface=test-br") == "trusted"
        assert "firewall-cmd" not in minirt("--explain", "network", "reload", "net1").stderr
        told = minirt("--explain", "network", "rm", "net1").stderr
        assert "firewall-cmd --zone=trusted --remove-interface=test-br" in told
        assert rules_of_firewalld() == rules
        assert firewall.files() == files


def test_typed_by_hand_the_step_does_the_same(
    outside: Outside, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zones, "_tell", lambda *_: None)
    net = network()
    with start() as firewall, machine(net) as one, served(outside):
        assert one.ask(outside.address, 90) in CUT_OFF
        firewall("--zone=trusted", f"--add-interface={net.bridge}")
        assert one.ask(outside.address, 90) == outside.host_address


def test_a_bridge_that_the_admin_has_put_into_a_zone_stays_there(
    minirt: Minirt, image: str, outside: Outside, start: Start
) -> None:
    with start() as firewall, served(outside):
        firewall("--zone=drop", "--add-interface=test-br")
        minirt("network", "create", "-o", NAMED, "net1")
        one = guest(minirt, "one", "--net", "net1")
        assert firewall("--get-zone-of-interface=test-br") == "drop"
        assert one.ask(outside.address, 90) in CUT_OFF
        told = minirt("network", "path", "one", f"{outside.address}:90", code=None).stdout
        assert "firewall-cmd --zone=trusted --change-interface=test-br" in told
        minirt("rm", "-f", "one")
        assert "firewall-cmd" not in minirt("--explain", "network", "rm", "net1").stderr
        assert firewall("--get-zone-of-interface=test-br") == "drop"


def test_an_admin_can_have_all_bridges_trusted_for_good(outside: Outside, start: Start) -> None:
    with start() as firewall, served(outside):
        firewall("--permanent", "--zone=trusted", "--add-interface=br-+")
        firewall("--reload")
        with machine(network()) as one:
            assert firewall("--zone=trusted", "--list-interfaces") == "br-+"
            assert one.ask(outside.address, 90) == outside.host_address
            firewall("--reload")
            assert one.ask(outside.address, 90) == outside.host_address


def test_where_the_admin_wants_published_ports_refused_they_are(
    minirt: Minirt, image: str, outside: Outside, start: Start
) -> None:
    with start(StrictForwardPorts="yes") as firewall, served(outside):
        if int(firewall("--version").split(".")[0]) < 2:
            pytest.skip("this firewalld does not know the setting")
        minirt("network", "create", "mynet")
        one = guest(minirt, "one", "--net", "mynet", "-p", "8080:80")
        with one.serving(80):
            assert one.ask(outside.address, 90) == outside.host_address
            assert ask_from(outside, outside.host_address, 8080) in CUT_OFF


def test_a_bridge_that_was_there_before_is_not_trusted(minirt: Minirt, start: Start) -> None:
    with start() as firewall:
        shell("ip", "link", "add", "test-br", "up", "type", "bridge")
        minirt("network", "create", "-o", NAMED, "net1")
        assert firewall("--get-zone-of-interface=test-br", code=2) == ""
        (fault,) = found(minirt)
        assert fault["mend"] == "firewall-cmd --zone=trusted --change-interface=test-br"
        minirt("network", "rm", "net1")
        shell("ip", "link", "del", "test-br")


def test_the_doctor_finds_what_firewalld_refuses_and_its_mend_mends_it(
    minirt: Minirt, image: str, outside: Outside, start: Start, typed: Callable[[str], None]
) -> None:
    minirt("network", "create", "net1")
    one = guest(minirt, "one", "--net", "net1")
    with start():
        in_netns(one.pid, "ping", "-c1", "-W1", outside.address, code=1)
        (fault,) = found(minirt)
        assert fault["code"] == "foreign-drop"
        assert "inet firewalld filter_F" in fault["what"]
        assert fault["mend"] == "minirt network reload net1"
        told = minirt("network", "path", "one", f"{outside.address}:90", code=None).stdout
        assert "minirt network reload net1" in told
        typed(fault["mend"])
        assert found(minirt) == []
        in_netns(one.pid, "ping", "-c1", "-W5", outside.address)


def test_a_table_of_that_name_behind_which_nobody_answers_is_let_alone(
    minirt: Minirt, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell("nft", "add", "table", "inet", "firewalld")
    for address in ("unix:path=/nowhere", f"unix:path={ground.run}"):
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
        began = time.monotonic()
        minirt("network", "create", "net1")
        minirt("network", "rm", "net1")
        # Where the machine is slow: less than the 30 of a wait for an answer (kernel/dbus.py).
        assert time.monotonic() - began < min(10 * PATIENCE, 29)
    where = Path(ground.root.parent / "f")
    where.mkdir()
    with bus(where) as address:  # a bus without firewalld
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
        minirt("network", "create", "net1")
        minirt("network", "rm", "net1")
    shell("nft", "delete", "table", "inet", "firewalld")
