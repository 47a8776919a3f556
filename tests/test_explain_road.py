"""The road of a packet, predicted over ground that is written down: two networks and a way out."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from ipaddress import ip_address, ip_interface
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirt.errors import InvalidRequest
from minirt.explain import itinerary, predict, remedies
from minirt.explain.journey import Road
from minirt.explain.neighbourhood import Room
from minirt.explain.packet import Address
from minirt.explain.predict import Point, Question
from minirt.explain.ruleset import Ruleset
from minirt.explain.terrain import Ground, Terrain
from minirt.kernel.netlink.records import Way
from minirt.kernel.netlink.survey import Device
from minirt.kernel.socket_diag import Bound
from tests.packet_filter import ACCEPT, DROP, base, concat, field, match, meta, ruleset, table

NETWORKS = {"br1": "net1", "br2": "net2"}


def device(name: str, index: int, address: str = "", **more: Any) -> Device:
    addresses = (ip_interface(address),) if address else ()
    return Device(name, index, up=True, addresses=addresses, **more)


LO = device("lo", 1, "127.0.0.1/8")
HOST = (
    LO,
    device("eth0", 2, "192.0.2.1/24"),
    device("br1", 3, "10.0.1.1/24", kind="bridge"),
    device("br2", 4, "10.0.2.1/24", kind="bridge"),
    device("v1", 11, kind="veth", peer=2, master=3),
    device("v2", 12, kind="veth", peer=3, master=3),
    device("v3", 13, kind="veth", peer=4, master=4),
)


def room(number: int, index: int, address: str, peer: int) -> Room:
    inside = device("eth0", index, address, kind="veth", peer=peer)
    return Room(number, number, "sleep", (LO, inside), "10.0.0.1")


WEB, DB, OX = (
    room(101, 2, "10.0.1.2/24", 11),
    room(102, 3, "10.0.1.3/24", 12),
    room(103, 4, "10.0.2.2/24", 13),
)
NAMES = {101: "web", 102: "db", 103: "ox"}


def routes(devices: tuple[Device, ...], gateway: str, forwards: bool = True) -> Any:
    """Return a routing table: what the devices' addresses imply, and a default route."""

    def way(to: Address, source: Address | None, link: int) -> Way:
        if any(to == one.ip for each in devices for one in each.addresses):
            return Way("local", 1, "", str(to))
        if link and not forwards:
            raise OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH))
        for each in devices:
            for one in each.addresses:
                if to in one.network:
                    return Way("unicast", each.index, "", str(one.ip))
        if not gateway:
            raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))
        first = next(
            (each, one)
            for each in devices
            for one in each.addresses
            if ip_address(gateway) in one.network
        )
        return Way("unicast", first[0].index, gateway, str(first[1].ip))

    return way


def ground(
    rules: Ruleset | None = None,
    *,
    host: tuple[Device, ...] = HOST,
    forwards: bool = True,
    bridged: bool = False,
    gateway: str = "auto",
) -> Ground:
    held = [Bound("tcp", "0.0.0.0", 8080, 7, 1)]
    there = Terrain("the host", host, routes(host, "192.0.2.9", forwards), rules or Ruleset(),
                    lambda: held, bridged)  # fmt: skip

    def enter(one: Room) -> Terrain:
        own = one.devices[1].addresses[0]
        first = str(own.network[1]) if gateway == "auto" else gateway
        sockets = [Bound("tcp", "0.0.0.0", 80, 0, 2)]
        way = routes(one.devices, first)
        return Terrain(NAMES[one.pid], one.devices, way, sockets=lambda: sockets, pid=one.pid)

    return Ground(there, (WEB, DB, OX), enter)


def point(name: str) -> Point:
    found = {"web": WEB, "db": DB, "ox": OX}.get(name)
    if found or name in (predict.HOST, predict.OUTSIDE):
        return Point(name, found)
    return Point(name, address=ip_address(name))


def ask(here: Ground, source: str, target: str) -> Road:
    return predict.predict(here, question(source, target))


def question(source: str, target: str) -> Question:
    name, port, protocol = predict.read(target)
    return Question(point(source), point(name), protocol, port)


def minirts(same: str = "accept") -> Ruleset:
    """Return the heart of rules.nft."""
    key = concat(meta("iifname"), meta("oifname"))
    forward = [
        [{"vmap": {"key": key, "data": "@same"}}],
        [match({"ct": {"key": "status"}}, "dnat", "in"), ACCEPT],
        [match(meta("oifname"), "@bridges"), DROP],
    ]
    to_map = {"map": {"key": concat(meta("l4proto"), field("th", "dport")), "data": "@pub4_any"}}
    local = match({"fib": {"result": "type", "flags": ["daddr"]}}, "local")
    lead = [[local, {"dnat": {"family": "ip", "addr": to_map}}]]
    hide = [[match(meta("oifname"), "eth0"), {"masquerade": None}]]
    chains = {
        "forward": (base("forward"), forward),
        "prerouting": (base("prerouting", -100, "nat"), lead),
        "output": (base("output", -100, "nat"), lead),
        "postrouting": (base("postrouting", 100, "nat"), hide),
        "noicc": ({}, [[DROP]]),
    }
    verdict = ACCEPT if same == "accept" else {"goto": {"target": "noicc"}}
    sets: dict[str, list[Any]] = {
        "same": [[concat("br1", "br1"), verdict], [concat("br2", "br2"), verdict]],
        "bridges": ["br1", "br2"],
        "pub4_any": [[concat("tcp", 8080), concat("10.0.1.2", 80)]],
    }
    return ruleset(table("minirt", chains, sets))


def test_neighbours_on_a_bridge_meet_no_rule() -> None:
    road = ask(ground(minirts()), "db", "web:80")
    assert road.refusal is None
    assert [hop.where for hop in road.hops] == ["db", "the host", "web"]
    assert "bridged from v2 to v1" in road.hops[1].what
    assert not road.returns_by  # nobody has tracked it


def test_with_br_netfilter_they_meet_them() -> None:
    road = ask(ground(minirts(), bridged=True), "db", "web:80")
    assert [one.place for hop in road.hops for one in hop.rules] == ["inet minirt forward"]
    assert road.returns_by.startswith("tcp src=10.0.1.3 dst=10.0.1.2 ")
    refused = ask(ground(minirts("noicc"), bridged=True), "db", "web:80")
    assert refused.refusal is not None
    assert refused.refusal.by is not None
    assert refused.refusal.by.place == "inet minirt noicc"


def test_another_network_is_out_of_reach_and_how_to_reach_it_is_told() -> None:
    here = ground(minirts())
    road = ask(here, "ox", "web:80")
    assert road.refusal is not None
    assert road.refusal.by is not None
    assert (road.refusal.by.place, road.refusal.leaves_by) == ("inet minirt forward", "br1")
    asked = question("ox", "web:80")
    told = remedies.remedy(road.refusal, asked, here.host, NETWORKS)
    assert told.startswith("minirt network connect net1 ox, or publish the port")


@pytest.mark.parametrize("source", ["ox", "db", "web", "host", "outside", "192.0.2.77"])
def test_a_published_port_is_reached_by_the_host(source: str) -> None:
    road = ask(ground(minirts()), source, "192.0.2.1:8080")
    assert road.refusal is None, road.refusal
    assert (str(road.last.target), road.last.port) == ("10.0.1.2", 80)
    assert "dst=192.0.2.1 sport=* dport=8080 src=10.0.1.2 dst=" in road.returns_by


def test_from_outside_a_container_means_its_published_port() -> None:
    road = ask(ground(minirts()), "outside", "web:80")
    assert (str(road.first.target), road.first.port) == ("192.0.2.1", 8080)
    closed = ask(ground(minirts()), "outside", "web:81")
    assert (str(closed.first.target), closed.refusal is not None) == ("10.0.1.2", True)


def test_what_leaves_bears_the_hosts_address() -> None:
    road = ask(ground(minirts()), "web", "8.8.8.8")
    assert road.refusal is None
    assert road.end == "outside: 192.0.2.9 has it"
    assert road.returns_by == "icmp src=10.0.1.2 dst=8.8.8.8 src=8.8.8.8 dst=192.0.2.1"


ISOLATED = tuple(replace(one, isolated=one.name in ("v1", "v2")) for one in HOST)
DOWN = tuple(replace(one, up=one.name != "br1") for one in HOST)
FOREIGN = ruleset(table("filter", {"FORWARD": (base("forward", policy="drop"), [])}, family="ip"))
ZONELESS = ruleset(table("firewalld", {"filter_FORWARD": (base("forward"), [[DROP]])}))


@pytest.mark.parametrize(
    ("here", "source", "target", "reason", "remedy"),
    [
        (ground(forwards=False), "web", "8.8.8.8", "not forwarding", "sysctl -w net.ipv4.ip_forw"),
        (ground(host=ISOLATED), "db", "web", "isolated", "The network has icc=false"),
        (ground(host=DOWN), "db", "web", "down", "ip link set br1 up"),
        (ground(gateway=""), "web", "8.8.8.8", "no route", "minirt network connect NETWORK web"),
        (ground(gateway=""), "web", "ox", "no route", "minirt network connect net2 web"),
        (ground(), "db", "web:81", "closed", "Start the server there"),
        (ground(), "db", "10.0.1.99", "nobody", "See who is there"),
        (ground(), "host", "192.0.2.1:99", "closed", "Start the server there"),
        (ground(FOREIGN), "web", "8.8.8.8", "rule", "minirt network reload net1"),
        (ground(ZONELESS), "web", "8.8.8.8", "rule", "minirt network reload net1"),
    ],
)
def test_what_refuses_it_is_named_with_the_mend(
    here: Ground, source: str, target: str, reason: str, remedy: str
) -> None:
    road = ask(here, source, target)
    assert road.refusal is not None
    assert road.refusal.reason == reason
    told = remedies.remedy(road.refusal, question(source, target), here.host, NETWORKS)
    assert told.startswith(remedy)


def test_an_answer_that_would_be_dropped_is_foreseen() -> None:
    one_way = [match(meta("oifname"), "br1"), match({"ct": {"key": "state"}}, "established", "in")]
    rules = ruleset(table("t", {"c": (base("forward"), [[*one_way, DROP]])}))
    road = ask(ground(rules), "web", "8.8.8.8")
    assert road.refusal is None  # Nobody knows what the outside answers …
    road = ask(ground(rules), "web", "ox")
    assert road.refusal is not None  # … but a container here answers that way.
    assert road.refusal.reason == "answer"


def test_it_is_told_hop_by_hop() -> None:
    text = itinerary.tell(ask(ground(minirts()), "web", "8.8.8.8"), question("web", "8.8.8.8"), "")
    assert text.splitlines()[0] == "web -> 8.8.8.8 (icmp)"
    assert "10.0.1.2 becomes 192.0.2.1" in text
    assert "It arrives: outside: 192.0.2.9 has it." in text


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("web", ("web", 0, "icmp")),
        ("web:80", ("web", 80, "tcp")),
        ("web:53/udp", ("web", 53, "udp")),
        ("10.0.0.1:80/TCP", ("10.0.0.1", 80, "tcp")),
        ("fd00::2", ("fd00::2", 0, "icmp")),
        ("[fd00::2]", ("fd00::2", 0, "icmp")),
        ("[fd00::2]:80", ("fd00::2", 80, "tcp")),
    ],
)
def test_a_target_is_read(text: str, read: tuple[str, int, str]) -> None:
    assert predict.read(text) == read


@pytest.mark.parametrize("text", ["", ":80", "web:", "web:0", "web:65536", "web:x", "web:80/sctp",
                                  "web/tcp", "web:8²"])  # fmt: skip
def test_a_target_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        predict.read(text)


@given(st.text(max_size=20))
def test_reading_a_target_fails_in_one_way_only(text: str) -> None:
    try:
        name, port, _ = predict.read(text)
    except InvalidRequest:
        return
    assert name
    assert 0 <= port < 1 << 16


@given(st.sampled_from(["web", "db", "ox", "host", "outside"]),
       st.sampled_from(["web", "db", "ox", "host", "outside", "8.8.8.8", "10.0.1.77"]),
       st.sampled_from(["", ":80", ":8080", ":81", ":80/udp"]), st.booleans())  # fmt: skip
def test_every_road_ends_somewhere(source: str, target: str, port: str, bridged: bool) -> None:
    road = ask(ground(minirts(), bridged=bridged), source, target + port)
    assert bool(road.end) != (road.refusal is not None)
