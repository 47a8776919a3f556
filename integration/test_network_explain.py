"""The picture of a network is that of the kernel, not of any record."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from integration.conftest import Minirt
from integration.guests import guest
from integration.sandbox import Outside, in_netns, shell, wait_until
from integration.traces import Ground

pytestmark = pytest.mark.core


def picture(minirt: Minirt, network: str = "net1") -> dict[str, Any]:
    return dict(json.loads(minirt("network", "explain", "--json", network).stdout))


def link(name: str, pid: int | None = None) -> dict[str, Any]:
    """Return what ip(8) says of a link."""
    words = ("ip", "-json", "addr", "show", "dev", name)
    done = shell(*words) if pid is None else in_netns(pid, *words)
    return dict(json.loads(done.stdout)[0])


def check(drawn: dict[str, Any], real: dict[str, Any]) -> None:
    assert (drawn["name"], drawn["index"]) == (real["ifname"], real["ifindex"])
    assert drawn["mac"] == real["address"]
    known = [one for one in real["addr_info"] if one["scope"] == "global"]
    assert drawn["addresses"] == [f"{one['local']}/{one['prefixlen']}" for one in known]


def test_every_box_is_what_ip_says(minirt: Minirt, image: str, outside: Outside) -> None:
    minirt("network", "create", "net1")
    guests = {name: guest(minirt, name, "--net", "net1") for name in ("one", "two")}
    seen = picture(minirt)
    check(seen["bridge"], link(seen["bridge_name"]))
    assert {one["inside"]["name"] for one in seen["wires"]} == set(guests)
    for wire in seen["wires"]:
        check(wire["link"], link(wire["link"]["name"]))
        inside = wire["inside"]
        there = guests[inside["name"]]
        assert inside["pid"] == there.pid
        check(inside["link"], link("eth0", there.pid))
        assert inside["link"]["index"] == link(wire["link"]["name"])["link_index"]
        namespace = Path(f"/proc/{there.pid}/ns/net").stat().st_ino
        assert inside["namespace"] == namespace
        assert wire["hairpin"]
    (way_out,) = seen["outside"]
    check(way_out["link"], link(outside.link))
    assert way_out["gateway"] == outside.address
    assert (seen["forwarding"], seen["masquerade"]) == (True, seen["subnets"])


def test_what_was_changed_by_hand_is_drawn_and_not_what_was_recorded(
    minirt: Minirt, image: str
) -> None:
    minirt("network", "create", "net1")
    one = guest(minirt, "one", "--net", "net1")
    in_netns(one.pid, "ip", "link", "set", "eth0", "down")
    in_netns(one.pid, "ip", "link", "set", "eth0", "address", "02:00:00:00:00:99")
    in_netns(one.pid, "ip", "addr", "add", "10.99.0.1/24", "dev", "eth0")
    bridge = picture(minirt)["bridge_name"]
    shell("ip", "link", "add", "test-far", "type", "veth", "peer", "name", "test-near")
    shell("ip", "link", "set", "test-near", "master", bridge)
    seen = picture(minirt)
    mine, other = sorted(seen["wires"], key=lambda wire: str(wire["link"]["name"]), reverse=True)
    assert mine["inside"]["link"]["mac"] == "02:00:00:00:00:99"
    assert "10.99.0.1/24" in mine["inside"]["link"]["addresses"]
    assert not mine["inside"]["link"]["up"]
    assert (other["link"]["name"], other["inside"]) == ("test-near", None)
    shell("ip", "link", "delete", bridge)
    shell("ip", "link", "delete", "test-far")
    assert picture(minirt)["bridge"] is None
    assert "IS MISSING" in minirt("network", "explain", "net1").stdout


def test_a_stranger_in_the_bridge_is_named_by_its_process(
    minirt: Minirt, image: str, outside: Outside
) -> None:
    minirt("network", "create", "net1")
    bridge = picture(minirt)["bridge_name"]
    shell("ip", "link", "set", outside.link, "master", bridge)
    (wire,) = picture(minirt)["wires"]
    assert wire["inside"]["container"] == ""
    assert wire["inside"]["name"] == f"sleep (pid {outside.pid})"
    assert wire["inside"]["link"]["addresses"] == [f"{outside.address}/24"]


def test_ports_and_rules_are_those_of_the_packet_filter(minirt: Minirt, image: str) -> None:
    minirt("network", "create", "net1")
    one = guest(minirt, "one", "--net", "net1", "-p", "8080:80", "-p", "127.0.0.1:8081:81/udp")
    guest(minirt, "other", "-p", "9090:90")
    seen = picture(minirt)
    assert [(p["protocol"], p["host"], p["target"], p["open"]) for p in seen["ports"]] == [
        ("tcp", "*:8080", f"{one.address}:80", True),
        ("udp", "127.0.0.1:8081", f"{one.address}:81", True),
    ]
    listed = shell("nft", "list", "ruleset").stdout
    rules = {rule["text"] for rule in seen["rules"]}
    assert "oifname @bridges drop" in rules
    assert all(rule in listed for rule in rules)
    elements = {element for rule in seen["rules"] for element in rule["elements"]}
    assert f"@pub4_any: tcp . 8080 : {one.address} . 80" in elements
    assert not any("9090" in element for element in elements)
    shell("nft", "add", "table", "ip", "mine", "{ chain c { type filter hook forward priority 9;"
          f" oifname {seen['bridge_name']} counter accept; }}; }}")  # fmt: skip
    places = {rule["place"] for rule in picture(minirt)["rules"]}
    assert "ip mine c" in places
    shell("nft", "delete", "table", "ip", "mine")


def test_a_port_whose_holder_was_killed_is_drawn_as_closed(
    minirt: Minirt, image: str, ground: Ground
) -> None:
    minirt("network", "create", "net1")
    guest(minirt, "keeper", "--net", "net1", "-p", "8080:80")
    assert picture(minirt)["ports"][0]["open"]
    shell("nft", "add element inet minirt pub4_any { tcp . 9999 : "
          f"{guest(minirt, 'two', '--net', 'net1').address} . 80 }}")  # fmt: skip
    closed = [port for port in picture(minirt)["ports"] if not port["open"]]
    assert [port["host"] for port in closed] == ["*:9999"]
    assert "CLOSED: nobody holds the port" in minirt("network", "explain", "net1").stdout
    shell("nft", "delete element inet minirt pub4_any { tcp . 9999 }")


def test_a_container_that_ended_is_gone_from_the_picture(minirt: Minirt, image: str) -> None:
    minirt("network", "create", "net1")
    guest(minirt, "one", "--net", "net1")
    minirt("kill", "one")
    wait_until(lambda: not picture(minirt)["wires"], "its end")
    assert "nothing is plugged in" in minirt("network", "explain", "net1").stdout


def test_without_unicode_it_is_drawn_in_ascii(minirt: Minirt, image: str) -> None:
    minirt("network", "create", "net1")
    guest(minirt, "one", "--net", "net1")
    assert "┌" in minirt("network", "explain", "net1").stdout
    words = ("env", "LC_ALL=C", "PYTHONCOERCECLOCALE=0", "PYTHONUTF8=0", "PYTHONIOENCODING=ascii")
    done = shell(*words, sys.executable, "-m", "minirt", "network", "explain", "net1")
    assert "+--" in done.stdout
    assert done.stdout.isascii()


def test_graphviz_and_mermaid_get_the_same_links(minirt: Minirt, image: str) -> None:
    minirt("network", "create", "net1")
    guest(minirt, "one", "--net", "net1")
    (wire,) = picture(minirt)["wires"]
    name = f"{wire['link']['name']} (index {wire['link']['index']})"
    for form, begins in (("--dot", 'graph "net1" {'), ("--mermaid", "---\ntitle: net1")):
        text = minirt("network", "explain", form, "net1").stdout
        assert text.startswith(begins)
        assert name in text
        assert wire["inside"]["link"]["mac"] in text


def test_host_and_none_cannot_be_drawn(minirt: Minirt) -> None:
    for name in ("host", "none"):
        assert "nothing to draw" in minirt("network", "explain", name, code=1).stderr
