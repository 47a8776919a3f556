"""Networks whose bridge has no address: isolated ones, and those whose gateway is another's."""

from __future__ import annotations

import json

import pytest

from integration.conftest import Minirt
from integration.guests import guest
from integration.sandbox import Outside, shell

MODE4 = "com.docker.network.bridge.gateway_mode_ipv4"
MODE6 = "com.docker.network.bridge.gateway_mode_ipv6"
INHIBIT = "com.docker.network.bridge.inhibit_ipv4"
NAMED = ("-o", "com.docker.network.bridge.name=br1")

pytestmark = pytest.mark.usefixtures("image")


@pytest.mark.core
def test_on_an_isolated_network_containers_reach_each_other_and_not_the_host(
    minirt: Minirt,
) -> None:
    subnets = ("--subnet", "10.1.0.0/24", "--subnet", "fd00:1::/64")
    modes = ("-o", f"{MODE4}=isolated", "-o", f"{MODE6}=isolated")
    minirt("network", "create", "--internal", *subnets, *modes, *NAMED, "net1")
    assert shell("ip", "-br", "addr", "show", "br1").stdout.split()[2:] == []
    one = guest(minirt, "one", "--net", "net1")
    guest(minirt, "two", "--net", "net1")
    minirt("exec", "one", "ping", "-c1", "-W5", "two")
    minirt("exec", "one", "ping", "-c1", "-W5", "fd00:1::3")
    assert "default" not in one.run("ip", "route")
    # Also one that takes the host for its neighbour: no question about an address is answered.
    one.run("ip", "route", "add", "default", "via", "10.1.0.1")
    for host in ("10.1.0.1", "fd00:1::1", "192.0.2.1"):
        minirt("exec", "one", "ping", "-c1", "-W2", host, code=1)
    assert "lladdr" not in one.run("ip", "neigh", "show", "10.1.0.1")
    shell("ping", "-c1", "-W1", "10.1.0.2", code=None)
    assert "10.1.0.0/24" not in shell("ip", "route").stdout
    assert "Nothing is wrong" in minirt("network", "doctor", "net1").stdout
    minirt("network", "reload")
    assert shell("ip", "-br", "addr", "show", "br1").stdout.split()[2:] == []


def test_a_plain_internal_network_has_its_gateway(minirt: Minirt) -> None:
    options = ("--internal", "--subnet", "10.1.0.0/24", "-o", f"{MODE4}=nat", *NAMED)
    minirt("network", "create", *options, "net1")
    guest(minirt, "one", "--net", "net1")
    minirt("exec", "one", "ping", "-c1", "-W5", "10.1.0.1")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["-o", f"{MODE4}=isolated"], "--internal"),
        (["-o", f"{MODE4}=routed"], "enable_ip_masquerade=false"),
        (["-o", f"{MODE6}=nat-unprotected"], "nat-unprotected"),
        (["-o", f"{INHIBIT}=perhaps"], "perhaps"),
    ],
)
def test_other_modes_are_refused(minirt: Minirt, words: list[str], complaint: str) -> None:
    said = minirt("network", "create", *words, "net1", code=1).stderr
    assert complaint in said
    assert said.count("\n") == 1
    assert json.loads(minirt("network", "ls", "--format", "json").stdout.splitlines()[0])


def test_the_gateway_can_be_another_machine(minirt: Minirt, outside: Outside) -> None:
    shell("ip", "link", "add", "br1", "type", "bridge")
    shell("ip", "link", "add", "port", "type", "veth", "peer", "name", "lan", "netns", outside.pid)
    shell("ip", "link", "set", "port", "master", "br1", "up")
    outside.run("ip", "addr", "add", "10.1.0.1/24", "dev", "lan")
    outside.run("ip", "link", "set", "lan", "up")
    options = ("--subnet", "10.1.0.0/24", "-o", f"{INHIBIT}=true", *NAMED)
    minirt("network", "create", *options, "net1")
    assert "10.1.0.1" not in shell("ip", "addr", "show", "br1").stdout
    one = guest(minirt, "one", "--net", "net1")
    assert "default via 10.1.0.1" in one.run("ip", "route")
    minirt("exec", "one", "ping", "-c1", "-W5", "192.0.2.2")  # an address behind that gateway
    minirt("rm", "-f", "one")
    minirt("network", "rm", "net1")
    shell("ip", "link", "del", "br1")
