"""Which of several networks gives a container its default route, and its published ports."""

from __future__ import annotations

import json

import pytest

from integration.conftest import Minirt
from integration.guests import Guest, guest, look
from integration.sandbox import Outside
from integration.wires import ask


@pytest.fixture(autouse=True)
def nets(minirt: Minirt, image: str) -> None:
    """Make net1 (10.1.0.0/24), net2 (10.2.0.0/24), and inner, which leads nowhere."""
    for number in (1, 2):
        minirt("network", "create", "--subnet", f"10.{number}.0.0/24", f"net{number}")
    minirt("network", "create", "--subnet", "10.3.0.0/24", "--internal", "inner")


def routes(one: Guest) -> list[str]:
    """Return its default routes."""
    lines = one.run("ip", "route").splitlines()
    return [line.strip() for line in lines if line.startswith("default")]


def test_the_highest_priority_is_the_way_out_and_has_the_ports(
    minirt: Minirt, outside: Outside
) -> None:
    first = "name=net1,gw-priority=-1"
    second = "name=net2,gw-priority=5"
    third = "name=inner,gw-priority=9"  # an internal network never is
    one = guest(minirt, "one", "--net", first, "--net", third, "--net", second, "-p", "8080:80")
    assert routes(one) == ["default via 10.2.0.1 dev eth2"]
    with one.serving():
        assert ask("127.0.0.1", 8080) == "10.2.0.1"
    minirt("exec", "one", "ping", "-c1", "-W5", outside.address)
    shown = {name: str(plug["GwPriority"]) for name, plug in one.networks.items()}
    assert shown == {"net1": "-1", "inner": "9", "net2": "5"}
    minirt("restart", "-t", "0", "one")
    assert routes(look(minirt, "one")) == ["default via 10.2.0.1 dev eth2"]


def test_it_moves_at_once_when_networks_come_and_go(minirt: Minirt) -> None:
    one = guest(minirt, "one", "--net", "net1", "-p", "8080:80")
    ports = minirt("port", "one").stdout
    with one.serving():
        minirt("network", "connect", "net2", "one")
        assert routes(one) == ["default via 10.1.0.1 dev eth0"]  # of equals the first
        assert ask("127.0.0.1", 8080) == "10.1.0.1"
        minirt("network", "disconnect", "net2", "one")
        minirt("network", "connect", "--gw-priority", "1", "net2", "one")
        assert routes(one) == ["default via 10.2.0.1 dev eth1"]
        assert ask("127.0.0.1", 8080) == "10.2.0.1"
        assert minirt("port", "one").stdout == ports
        assert one.ask("10.1.0.2") == "10.1.0.2"  # The old network still is one of its own.
        minirt("network", "disconnect", "net2", "one")
        assert routes(one) == ["default via 10.1.0.1 dev eth0"]
        assert ask("127.0.0.1", 8080) == "10.1.0.1"
    minirt("network", "connect", "--gw-priority", "1", "net2", "one")
    minirt("restart", "-t", "0", "one")
    assert routes(look(minirt, "one")) == ["default via 10.2.0.1 dev eth1"]
    # What led to the old address leads to nobody who takes it.
    minirt("network", "disconnect", "net1", "one")
    heir = guest(minirt, "heir", "--net", "net1")
    with heir.serving():
        assert ask("127.0.0.1", 8080) == "Connection refused"  # by one, where nobody listens now


def test_ipv6_moves_along(minirt: Minirt) -> None:
    for number in (4, 5):
        subnets = ("--subnet", f"10.{number}.0.0/24", "--subnet", f"fd00:{number}::/64")
        minirt("network", "create", *subnets, f"net{number}")
    one = guest(minirt, "one", "--net", "net4", "-p", "8080:80")
    minirt("network", "connect", "--gw-priority", "1", "net5", "one")
    assert "via fd00:5::1 dev eth1" in one.run("ip", "-6", "route", "show", "default")
    assert "fd00:4::1" not in one.run("ip", "-6", "route", "show", "default")
    minirt("network", "disconnect", "net5", "one")
    assert "via fd00:4::1 dev eth0" in one.run("ip", "-6", "route", "show", "default")


def test_a_default_route_that_somebody_has_made_is_in_the_way_and_nothing_changes(
    minirt: Minirt,
) -> None:
    one = guest(minirt, "one", "--net", "inner")
    one.run("ip", "route", "add", "default", "via", "10.3.0.77")
    before = minirt("inspect", "one").stdout
    refused = minirt("network", "connect", "net2", "one", code=1).stderr
    assert "default route" in refused
    assert refused.count("\n") == 1
    assert minirt("inspect", "one").stdout == before
    assert "eth1" not in one.run("ip", "-br", "link")
    assert routes(one) == ["default via 10.3.0.77 dev eth0"]
    (shown,) = json.loads(minirt("network", "inspect", "net2").stdout)
    assert shown["Containers"] == {}
    one.run("ip", "route", "del", "default")
    minirt("network", "connect", "net2", "one")
    assert routes(one) == ["default via 10.2.0.1 dev eth1"]
    minirt("network", "disconnect", "net2", "one")
    assert routes(one) == []


def test_the_way_out_stays_when_a_better_one_cannot_be_joined(minirt: Minirt) -> None:
    minirt("network", "create", "--subnet", "fd00:5::/64", "--subnet", "10.5.0.0/24", "net5")
    one = guest(minirt, "one", "--net", "net1", "-p", "8080:80")
    one.run("ip", "link", "add", "own", "type", "bridge")
    one.run("ip", "link", "set", "own", "up")
    one.run("sysctl", "-qw", "net.ipv6.conf.own.disable_ipv6=0")
    one.run("ip", "-6", "addr", "add", "fd00:9::1/64", "dev", "own", "nodad")
    one.run("ip", "-6", "route", "add", "default", "via", "fd00:9::2", "metric", "1024")
    refused = minirt("network", "connect", "--gw-priority", "7", "net5", "one", code=1).stderr
    assert "default route" in refused
    assert routes(one) == ["default via 10.1.0.1 dev eth0"]
    with one.serving():
        assert ask("127.0.0.1", 8080) == "10.1.0.1"


@pytest.mark.parametrize("bad", ["lots", "1.5", "", "99999999999"])
def test_a_priority_is_a_number(minirt: Minirt, bad: str) -> None:
    said = minirt("run", "--net", f"name=net1,gw-priority={bad}", "busybox", "true", code=125)
    assert "gw-priority is a whole number" in said.stderr
    minirt("create", "--name", "one", "busybox", "true")
    minirt("network", "connect", "--gw-priority", bad, "net1", "one", code=125)
