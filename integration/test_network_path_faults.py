"""``network path`` says "it arrives" of what arrives only; a real packet proves it each time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from integration.conftest import Minirt
from integration.guests import guest
from integration.sandbox import Outside, in_netns, shell
from integration.wires import PEER, ask

FALSE_MAC = "02:00:00:00:00:99"


def path(minirt: Minirt, *words: str) -> dict[str, Any]:
    done = minirt("network", "path", "--json", "--trace", *words, code=None)
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["arrives"] == (done.returncode == 0)
    return told


def refused(minirt: Minirt, *words: str) -> dict[str, Any]:
    """Return the refusal that is predicted, and that the real packet confirms."""
    told = path(minirt, *words)
    assert not told["arrives"], told
    assert told["trace"]["fate"] not in ("answered", "connected")
    assert told["trace"]["agrees"], told
    return dict(told["refusal"])


def test_a_host_that_forwards_no_ipv6(minirt: Minirt, image: str, outside6: Outside) -> None:
    minirt("network", "create", "--ipv6", "net1")
    minirt("network", "create", "--ipv6", "net2")
    guest(minirt, "web", "--net", "net1")
    assert path(minirt, "-6", "web", outside6.address)["trace"]["fate"] == "answered"
    shell("sysctl", "-qw", "net.ipv6.conf.all.forwarding=0")
    refusal = refused(minirt, "-6", "web", outside6.address)
    assert refusal["reason"] == "not forwarding"
    shell("sh", "-c", refusal["remedy"])
    assert path(minirt, "-6", "web", outside6.address)["trace"]["fate"] == "answered"


@pytest.mark.parametrize(
    "damage",
    ["nft flush chain inet minirt postrouting", "nft flush set inet minirt masq4"],
)
def test_a_source_that_nothing_translates(
    minirt: Minirt, image: str, outside: Outside, damage: str
) -> None:
    minirt("network", "create", "net1")
    guest(minirt, "web", "--net", "net1")
    shell("sh", "-c", damage)
    refusal = refused(minirt, "web", outside.address)
    assert refusal["reason"] == "not translated"
    assert refusal["remedy"] == "minirt network reload net1"
    minirt("network", "reload", "net1")
    told = path(minirt, "web", outside.address)
    assert (told["arrives"], told["trace"]["fate"]) == (True, "answered")


def test_a_network_that_is_routed_needs_no_translation(
    minirt: Minirt, image: str, outside: Outside
) -> None:
    masquerade = "com.docker.network.bridge.enable_ip_masquerade=false"
    minirt("network", "create", "-o", masquerade, "net1")
    web = guest(minirt, "web", "--net", "net1")
    outside.run("ip", "route", "add", f"{web.address}/32", "via", outside.host_address)
    told = path(minirt, "web", outside.address)
    assert (told["arrives"], told["trace"]["fate"]) == (True, "answered")


def test_a_false_neighbour_of_the_host(minirt: Minirt, image: str, outside: Outside) -> None:
    minirt("network", "create", "net1")
    web = guest(minirt, "web", "--net", "net1")
    bridge = json.loads(minirt("network", "explain", "--json", "net1").stdout)["bridge_name"]
    entry = ("ip", "neigh", "replace", web.address, "lladdr", FALSE_MAC, "dev", bridge)
    shell(*entry, "nud", "permanent")
    told = path(minirt, "host", web.address)
    assert (told["arrives"], told["trace"]["fate"]) == (False, "no answer")
    assert told["refusal"]["reason"] == "neighbour"
    assert FALSE_MAC in told["refusal"]["why"]
    shell("sh", "-c", told["refusal"]["remedy"])
    assert path(minirt, "host", web.address)["trace"]["fate"] == "answered"


@pytest.mark.parametrize("whose", ["sender", "receiver"])
def test_a_false_neighbour_of_a_container(minirt: Minirt, image: str, whose: str) -> None:
    minirt("network", "create", "net1")
    guests = {name: guest(minirt, name, "--net", "net1") for name in ("sender", "receiver")}
    other = guests["receiver" if whose == "sender" else "sender"]
    entry = ("ip", "neigh", "replace", other.address, "lladdr", FALSE_MAC, "dev", "eth0")
    in_netns(guests[whose].pid, *entry, "nud", "permanent")
    told = path(minirt, "sender", "receiver")
    assert (told["arrives"], told["trace"]["fate"]) == (False, "no answer")
    assert (told["refusal"]["reason"], told["refusal"]["where"]) == ("neighbour", whose)
    shell("sh", "-c", told["refusal"]["remedy"])
    assert path(minirt, "sender", "receiver")["trace"]["fate"] == "answered"


def test_flows_that_began_before_are_named(minirt: Minirt, image: str, outside: Outside) -> None:
    minirt("network", "create", "net1")
    web = guest(minirt, "web", "--net", "net1", "-p", "8080:80/udp")
    guest(minirt, "other", "--net", "net1")
    elsewhere = "inet minirt pub4_any { udp . 8080 }"
    shell("nft", "delete", "element", *elsewhere.split())
    # This flow begins while the port leads nowhere.
    outside.run(*PEER, "ask", "udp", outside.host_address, 8080, code=None)
    element = f"inet minirt pub4_any {{ udp . 8080 : {web.address} . 80 }}"
    shell("nft", "add", "element", *element.split())
    with web.serving():
        told = path(minirt, "--wait", "0.1", "outside", "web:80/udp")
        assert told["arrives"]
        (flow,) = told["astray"]
        assert flow.endswith(f"goes to {outside.host_address}:8080")
        text = minirt("network", "path", "outside", "web:80/udp").stdout
        assert "A new flow arrives" in text
        minirt("network", "reload", "net1")
        assert path(minirt, "--wait", "0.1", "outside", "web:80/udp")["astray"] == []
        assert ask(outside.host_address, 8080, "udp")
