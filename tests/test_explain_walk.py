"""Packets in the packet filter, on paper."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from minirt.explain.packet import Facts, Packet
from minirt.explain.ruleset import Ruleset
from minirt.explain.walk import Walk
from tests.packet_filter import (
    ACCEPT,
    DROP,
    base,
    concat,
    ct,
    field,
    match,
    meta,
    prefix,
    ruleset,
    table,
)

PACKET = Packet(
    ip_address("10.0.0.2"), ip_address("192.0.2.9"), "tcp", 80, came_by="br1", leaves_by="eth0"
)
TIMED = {"elem": {"val": "10.0.0.2", "timeout": 60}}
FACTS = Facts(
    kind_of=lambda address: "local" if str(address) == "192.0.2.1" else "unicast",
    socket_mark=lambda packet: 7 if packet.port == 8080 else None,
    own_address=lambda link, version: ip_address("192.0.2.1") if link == "eth0" else None,
)


def walk(rules: Ruleset, packet: Packet = PACKET, hook: str = "forward") -> tuple[Any, Walk]:
    done = Walk(rules, FACTS, [], [])
    return done.hook(packet, hook), done


def one_rule(*expressions: dict[str, Any], sets: dict[str, list[Any]] | None = None) -> Ruleset:
    return ruleset(table("t", {"c": (base("forward"), [list(expressions)])}, sets))


@pytest.mark.parametrize(
    "hit",
    [
        match(meta("iifname"), "br1"),
        match(meta("iifname"), "br*"),
        match(meta("oifname"), "br1", "!="),
        match(meta("l4proto"), "tcp"),
        match(meta("l4proto"), 6),
        match(meta("nfproto"), "ipv4"),
        match(field("ip", "saddr"), prefix("10.0.0.0/8")),
        match(field("ip", "daddr"), {"range": ["192.0.2.0", "192.0.2.99"]}),
        match(field("ip", "protocol"), {"set": ["udp", "tcp"]}),
        match(field("tcp", "dport"), {"set": [22, {"range": [79, 81]}]}),
        match(field("th", "dport"), 80),
        match(field("tcp", "dport"), 79, ">"),
        match(field("tcp", "sport"), 1, "<"),
        match(ct("state"), ["established", "new"], "in"),
        match(ct("direction"), "original"),
        match({"fib": {"result": "type", "flags": ["daddr"]}}, "local", "!="),
        match({"&": [meta("mark"), 255]}, 0),
        match(concat(field("ip", "saddr"), meta("iifname")), concat(prefix("10.0.0.0/24"), "br1")),
        match(meta("iifname"), "@links"),
        match(field("ip", "saddr"), "@addresses"),
    ],
    ids=str,
)
def test_a_match_holds(hit: dict[str, Any]) -> None:
    sets: dict[str, list[Any]] = {
        "links": ["br1"],
        "addresses": [{"elem": {"val": "10.0.0.2", "timeout": 60}}],
    }
    assert walk(one_rule(hit, DROP, sets=sets))[0] is None
    negated = {"==": "!=", "!=": "==", "in": "!="}.get(hit["match"]["op"])
    if negated:
        miss = {"match": {**hit["match"], "op": negated}}
        assert walk(one_rule(miss, DROP, sets=sets))[0] == PACKET


RAW_SOURCE6 = {"payload": {"base": "nh", "offset": 64, "len": 128}}


@pytest.mark.parametrize(
    "hit",
    [
        match(field("ether", "saddr"), 0x0242AC120002),
        match(field("ether", "saddr"), "02:42:ac:12:00:02"),
        match(field("ether", "daddr"), {"range": ["02:42:ac:12:00:00", "02:42:ac:12:00:0f"]}),
        match(field("ip6", "saddr"), "0xfd000000000000000000000000000002"),
        match(RAW_SOURCE6, "0xfd000000000000000000000000000002"),
        match(concat(meta("iifname"), RAW_SOURCE6), "@ports"),
    ],
    ids=str,
)
def test_a_field_is_compared_with_elements_that_are_numbers(hit: dict[str, Any]) -> None:
    """nft(8) lists them so where a set is typed by the field's place in the packet."""
    here = Packet(ip_address("fd00::2"), ip_address("fd00::3"), "tcp", 80, came_by="v1",
                  mac="02:42:ac:12:00:02", target_mac="02:42:ac:12:00:03")  # fmt: skip
    sets: dict[str, list[Any]] = {"ports": [concat("v1", "0xfd000000000000000000000000000002")]}
    assert walk(one_rule(hit, DROP, sets=sets), here)[0] is None
    other = replace(here, source=ip_address("fd00::9"), mac="02:00:00:00:00:09", target_mac="")
    assert walk(one_rule(hit, DROP, sets=sets), other)[0] == other


@pytest.mark.parametrize(
    "absent",
    [
        match(field("ip6", "saddr"), "::1", "!="),
        match(field("udp", "dport"), 80, "!="),
        match(field("icmp", "type"), "echo-reply", "!="),
        match(field("arp", "saddr ip"), "10.0.0.2", "!="),
        match({"socket": {"key": "mark"}}, 7, "!="),
        match({"exthdr": {"name": "frag", "field": "frag-off"}}, 1, "!="),
        match(field("igmp", "type"), "membership-query", "!="),
    ],
    ids=str,
)
def test_what_a_packet_does_not_have_is_not_even_unequal(absent: dict[str, Any]) -> None:
    assert walk(one_rule(absent, DROP))[0] == PACKET


def test_accept_ends_one_base_chain_and_drop_ends_all() -> None:
    rules = ruleset(
        table("late", {"c": (base("forward", 10), [[DROP]])}),
        table("early", {"c": (base("forward", -10), [[ACCEPT], [DROP]])}),
    )
    packet, done = walk(rules)
    assert packet is None
    met = [(one.place, one.verdict) for one in done.crossed]
    assert met == [("inet early c", "accept"), ("inet late c", "drop")]


def test_a_policy_decides_where_no_rule_does() -> None:
    rules = ruleset(table("t", {"c": (base("forward", policy="drop"), [])}, family="ip"))
    packet, done = walk(rules)
    assert (packet, done.crossed[-1].text) == (None, "policy drop")
    six = replace(PACKET, source=ip_address("fd00::2"), target=ip_address("fd00::3"))
    assert walk(rules, six)[0] == six  # a table of IPv4 does not see it


@pytest.mark.parametrize(("word", "decided"), [("jump", "drop"), ("goto", "accept")])
def test_who_jumped_comes_back_and_who_went_does_not(word: str, decided: str) -> None:
    to_inner = {word: {"target": "inner"}}
    chains = {"c": (base("forward"), [[to_inner], [DROP]]), "inner": ({}, [[{"return": None}]])}
    packet, _ = walk(ruleset(table("t", chains)))
    assert (packet is None) == (decided == "drop")


def test_a_map_of_verdicts_is_asked_with_both_links() -> None:
    same = [[concat("br1", "br1"), ACCEPT], [concat("br1", "eth0"), {"goto": {"target": "no"}}]]
    vmap = {"vmap": {"key": concat(meta("iifname"), meta("oifname")), "data": "@same"}}
    chains = {"c": (base("forward"), [[vmap], [ACCEPT]]), "no": ({}, [[DROP]])}
    rules = ruleset(table("t", chains, {"same": same}))
    assert walk(rules)[0] is None
    assert walk(rules, replace(PACKET, leaves_by="br1"))[0] is not None
    assert walk(rules, replace(PACKET, leaves_by="br9"))[0] is not None


def published(*more: dict[str, Any]) -> Ruleset:
    """Return rules that lead ports as ours do."""
    to_map = {"map": {"key": concat(meta("l4proto"), field("th", "dport")), "data": "@pub"}}
    local = match({"fib": {"result": "type", "flags": ["daddr"]}}, "local")
    rule = [
        local,
        match({"socket": {"key": "mark"}}, 7),
        {"dnat": {"family": "ip", "addr": to_map}},
    ]
    pub = [[concat("tcp", 8080), concat("10.0.0.2", 80)]]
    chains = {"c": (base("prerouting", -100, "nat"), [rule, *([list(more)] if more else [])])}
    return ruleset(table("t", chains, {"pub": pub}))


def test_a_published_port_is_led_to_its_container() -> None:
    asked = replace(PACKET, target=ip_address("192.0.2.1"), port=8080)
    packet, done = walk(published(), asked, "prerouting")
    assert (str(packet.target), packet.port, packet.status) == ("10.0.0.2", 80, {"dnat"})
    assert done.crossed[-1].change == "192.0.2.1:8080 becomes 10.0.0.2:80"
    nobody = replace(asked, port=8081)  # no socket, no element
    assert walk(published(), nobody, "prerouting")[0] == nobody


def test_translation_is_decided_once_and_not_for_answers() -> None:
    asked = replace(PACKET, target=ip_address("192.0.2.1"), port=8080)
    again = {"dnat": {"addr": "10.9.9.9", "port": 9}}
    packet, _ = walk(published(again), asked, "prerouting")
    assert packet is not None
    assert str(packet.target) == "10.0.0.2"
    answer = replace(asked, state="established")
    assert walk(published(), answer, "prerouting")[0] == answer


def test_masquerade_takes_the_address_of_the_link_out() -> None:
    rule = [match(field("ip", "saddr"), prefix("10.0.0.0/24")), {"masquerade": None}]
    rules = ruleset(table("t", {"c": (base("postrouting", 100, "nat"), [rule])}))
    packet, done = walk(rules, hook="postrouting")
    assert packet is not None
    assert (str(packet.source), packet.status) == ("192.0.2.1", {"snat"})
    assert done.crossed[-1].change == "10.0.0.2 becomes 192.0.2.1"


def test_what_cannot_be_read_is_a_doubt_and_only_where_it_would_decide() -> None:
    strange = match({"rt": {"key": "mtu"}}, 5)
    packet, done = walk(one_rule(strange, DROP))
    assert packet == PACKET
    assert len(done.doubts) == 1
    assert not walk(one_rule(strange, {"counter": None}))[1].doubts


@pytest.mark.parametrize(
    ("state", "words", "passes"),
    [("new", "related,established", False), ("established", "related,established", True)],
)
def test_what_xtables_hides_is_read_from_the_listing(state: str, words: str, passes: bool) -> None:
    rule = [{"xt": {"type": "match", "name": "conntrack"}}, ACCEPT]
    forward = table("filter", {"FORWARD": (base("forward", policy="drop"), [rule])}, family="ip")
    listing = f"table ip filter {{ # handle 1\n\t\tct state {words} counter accept # handle 1\n}}\n"
    packet, done = walk(ruleset(forward, listing=listing), replace(PACKET, state=state))
    assert ((packet is not None), done.doubts) == (passes, [])


@pytest.mark.parametrize(
    "strange",
    [
        {"mangle": {"key": {"meta": {"key": "mark"}}, "value": {"|": [{"meta": "mark"}, 1]}}},
        match(field("tcp", "dport"), prefix("10.0.0.0/8")),
        match(field("ip", "saddr"), {"range": [1, 2]}),
        {"match": {}},
        {"vmap": {"key": meta("mark"), "data": None}},
    ],
)
def test_a_rule_of_an_unknown_form_is_a_doubt(strange: dict[str, Any]) -> None:
    """Such rules are typed by whoever has CAP_NET_ADMIN in a container."""
    packet, done = walk(one_rule(strange, DROP))
    assert packet == PACKET
    assert len(done.doubts) == 1
