"""Requests of rtnetlink(7) are, byte for byte, what pyroute2 writes; and what it writes is read."""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from minirt.kernel.namespaces import Netns
from minirt.kernel.netlink import messages
from minirt.kernel.netlink.records import ETHERNET_MTU, Address, Interface, Link, Peer, Route, Way

HEADER = 16  # bytes of struct nlmsghdr
UP = {"flags": 1, "change": 1}

names = st.from_regex(r"[a-z][a-z0-9.-]{0,14}", fullmatch=True)
macs = st.binary(min_size=6, max_size=6).map(lambda one: one.hex(":"))
indexes = st.integers(1, 2**31 - 1)
mtus = st.integers(68, 65535)
versions = st.sampled_from((4, 6))
ipv4, ipv6 = st.ip_addresses(v=4), st.ip_addresses(v=6)
interfaces = st.builds(IPv4Interface, st.tuples(ipv4, st.integers(0, 32))) | st.builds(
    IPv6Interface, st.tuples(ipv6, st.integers(0, 128))
)
bridges = st.builds(Link, st.just("br0"), indexes)


def peer(name: str, mac: str, fd: int) -> Peer:
    return Peer(name, mac, Netns("/proc/1/ns/net", fd))


peers = st.builds(peer, names, macs, st.integers(0, 1 << 20))


def written(kind: type[Any], fields: dict[str, Any], *attributes: tuple[str, Any]) -> bytes:
    """Return what pyroute2 writes, without the header."""
    message = kind()
    for name, value in fields.items():
        message[name] = value
    message["attrs"] = list(attributes)
    message.encode()
    return bytes(message.data[HEADER:])


def nested(*attributes: tuple[str, Any]) -> dict[str, Any]:
    return {"attrs": list(attributes)}


def size(mtu: int, *, usual: int) -> list[tuple[str, Any]]:
    return [] if mtu == usual else [("IFLA_MTU", mtu)]


def family(version: int) -> int:
    return socket.AF_INET6 if version == 6 else socket.AF_INET


@given(names, bridges, peers, mtus | st.just(ETHERNET_MTU))
def test_a_veth_pair(name: str, bridge: Link, far: Peer, mtu: int) -> None:
    large = size(mtu, usual=ETHERNET_MTU)
    end = [("IFLA_IFNAME", far.name), ("IFLA_ADDRESS", far.mac), *large]
    pair = nested(("VETH_INFO_PEER", nested(*end, ("IFLA_NET_NS_FD", far.netns.fd))))
    info = nested(("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", pair))
    wanted = [("IFLA_IFNAME", name), ("IFLA_MASTER", bridge.index), *large, ("IFLA_LINKINFO", info)]
    assert messages.veth(name, bridge, far, mtu) == written(ifinfmsg, UP, *wanted)


@given(
    bridges, peers, st.sampled_from(("bridge", "private", "vepa", "passthru")), mtus | st.just(0)
)
def test_a_macvlan_link(parent: Link, far: Peer, mode: str, mtu: int) -> None:
    data = nested(("IFLA_MACVLAN_MODE", mode))
    wanted = [
        ("IFLA_IFNAME", far.name),
        ("IFLA_LINK", parent.index),
        ("IFLA_ADDRESS", far.mac),
        ("IFLA_NET_NS_FD", far.netns.fd),
        *size(mtu, usual=0),
        ("IFLA_LINKINFO", nested(("IFLA_INFO_KIND", "macvlan"), ("IFLA_INFO_DATA", data))),
    ]
    assert messages.macvlan(parent, far, mode, mtu) == written(ifinfmsg, {}, *wanted)


# IFLA_INFO_DATA with IFLA_BR_MULTI_BOOLOPT, which pyroute2 does not know: BR_BOOLOPT_NO_LL_LEARN.
NO_LINK_LOCAL_LEARNING = struct.pack("=HHHHII", 16, 2, 12, 46, 1, 1)


def with_data(message: bytes, data: bytes) -> bytes:
    """Add IFLA_INFO_DATA to a message whose last attribute is IFLA_LINKINFO of a bridge."""
    kind = struct.pack("=HH", 11, 1) + b"bridge\0\0"
    head = message.removesuffix(struct.pack("=HH", 16, 18) + kind)
    return head + struct.pack("=HH", 16 + len(data), 18) + kind + data


@given(names, macs)
def test_a_bridge(name: str, mac: str) -> None:
    info = ("IFLA_LINKINFO", nested(("IFLA_INFO_KIND", "bridge")))
    wanted = written(ifinfmsg, UP, ("IFLA_IFNAME", name), ("IFLA_ADDRESS", mac), info)
    assert messages.bridge(name, mac) == with_data(wanted, NO_LINK_LOCAL_LEARNING)


@given(indexes)
def test_a_bridge_that_learns_less(index: int) -> None:
    info = ("IFLA_LINKINFO", nested(("IFLA_INFO_KIND", "bridge")))
    wanted = with_data(written(ifinfmsg, {"index": index}, info), NO_LINK_LOCAL_LEARNING)
    assert messages.without_link_local_learning(Link("br", index)) == wanted
    assert messages.learns_from_all(Link("br", index))
    assert messages.learns_from_all(Link("br", index, data=struct.pack("=HHII", 12, 46, 2, 3)))
    assert not messages.learns_from_all(Link("br", index, data=NO_LINK_LOCAL_LEARNING[4:]))


@pytest.mark.parametrize("isolated", [False, True])
def test_a_port(isolated: bool) -> None:
    port = nested(
        ("IFLA_BRPORT_MODE", 1),
        ("IFLA_BRPORT_GROUP_FWD_MASK", 0xFFFD),
        ("IFLA_BRPORT_ISOLATED", int(isolated)),
    )
    info = nested(("IFLA_INFO_SLAVE_KIND", "bridge"), ("IFLA_INFO_SLAVE_DATA", port))
    inet6 = nested(("AF_INET6", nested(("IFLA_INET6_ADDR_GEN_MODE", 1))))
    wanted = [("IFLA_IFNAME", "v"), ("IFLA_LINKINFO", info), ("IFLA_AF_SPEC", inet6)]
    assert messages.port("v", isolated=isolated) == written(ifinfmsg, {}, *wanted)


@given(indexes, mtus)
def test_a_link_by_its_index(index: int, mtu: int) -> None:
    fields = {"index": index}
    assert messages.link(index=index) == written(ifinfmsg, fields)
    assert messages.link(index=index, up=True) == written(ifinfmsg, fields | UP)
    down = written(ifinfmsg, fields | {"change": 1})
    assert messages.link(index=index, up=False) == down
    resized = messages.link(index=index, more=messages.with_mtu(mtu))
    assert resized == written(ifinfmsg, fields, ("IFLA_MTU", mtu))


@given(names)
def test_the_questions_for_links(name: str) -> None:
    mask = ("IFLA_EXT_MASK", 8)
    assert messages.link_query(name) == written(ifinfmsg, {}, ("IFLA_IFNAME", name), mask)
    assert messages.link_query() == written(ifinfmsg, {}, mask)


@given(bridges, interfaces)
def test_an_address(link: Link, address: Interface) -> None:
    own = str(address.ip)
    fields = {"index": link.index, "prefixlen": address.network.prefixlen}
    fields |= {"family": family(address.version), "flags": 2 if address.version == 6 else 0}
    body = written(ifaddrmsg, fields, ("IFA_LOCAL", own), ("IFA_ADDRESS", own))
    assert messages.address(link, address) == body
    assert messages.read_address(body) == (link.index, address)


@given(bridges)
def test_the_questions_for_addresses(link: Link) -> None:
    assert messages.address(link) == written(ifaddrmsg, {"index": link.index})
    assert messages.address(None) == written(ifaddrmsg, {})


def test_of_a_point_to_point_link_our_own_address_is_read() -> None:
    fields = {"index": 3, "prefixlen": 32, "family": socket.AF_INET}
    ends = [("IFA_ADDRESS", "10.0.0.2"), ("IFA_LOCAL", "10.0.0.1")]
    body = written(ifaddrmsg, fields, *ends)
    assert messages.read_address(body) == (3, ip_interface("10.0.0.1/32"))
    alone = written(ifaddrmsg, fields, ends[0])
    assert messages.read_address(alone) == (3, ip_interface("10.0.0.2/32"))


@given(ipv4 | ipv6)
def test_a_default_route(gateway: Address) -> None:
    fields = {"family": family(gateway.version), "table": 254, "proto": 3, "type": 1}
    wanted = written(rtmsg, fields, ("RTA_GATEWAY", str(gateway)))
    assert messages.default_route(gateway) == wanted


@given(versions)
def test_the_question_for_routes(version: int) -> None:
    fields = {"family": family(version), "table": 254}
    assert messages.routes_query(version) == written(rtmsg, fields)


@given(interfaces, indexes, st.booleans())
def test_a_route_is_read(to: Interface, link: int, has_gateway: bool) -> None:
    gateway = "fe80::1" if to.version == 6 else "10.0.0.1"
    fields = {"family": family(to.version), "dst_len": to.network.prefixlen, "type": 1}
    there = [("RTA_DST", str(to.network.network_address))] if to.network.prefixlen else []
    by = [("RTA_GATEWAY", gateway)] if has_gateway else []
    body = written(rtmsg, fields, *there, ("RTA_OIF", link), *by)
    assert messages.read_route(body) == Route(to.network, link, gateway if has_gateway else "")


@pytest.mark.parametrize(("to", "source"), [("10.0.0.2", "10.1.0.2"), ("fd00::2", "fd01::2")])
def test_the_question_for_a_way(to: str, source: str) -> None:
    bits = ip_address(to).max_prefixlen
    fields = {"family": family(ip_address(to).version), "dst_len": bits}
    plain = messages.way_query(ip_address(to), None, 0)
    assert plain == written(rtmsg, fields, ("RTA_DST", to))
    coming = messages.way_query(ip_address(to), ip_address(source), 7)
    attributes = [("RTA_DST", to), ("RTA_SRC", source), ("RTA_IIF", 7)]
    assert coming == written(rtmsg, fields | {"src_len": bits}, *attributes)


def test_a_way_is_read() -> None:
    fields = {"family": socket.AF_INET, "dst_len": 32, "type": 1}
    ways = [("RTA_OIF", 4), ("RTA_PREFSRC", "10.0.0.9"), ("RTA_GATEWAY", "10.0.0.1")]
    assert messages.read_way(written(rtmsg, fields, *ways)) == Way(
        "unicast", 4, "10.0.0.1", "10.0.0.9"
    )
    assert messages.read_way(written(rtmsg, fields | {"type": 42})) == Way("42")


@given(names, indexes, mtus, st.sampled_from(("", "bridge", "veth")), st.booleans(), st.booleans())
def test_a_link_is_read(
    name: str, index: int, mtu: int, kind: str, up: bool, running: bool
) -> None:
    info = [("IFLA_LINKINFO", nested(("IFLA_INFO_KIND", kind)))] if kind else []
    fields = {"index": index, "flags": up | running << 6}
    body = written(ifinfmsg, fields, ("IFLA_IFNAME", name), ("IFLA_MTU", mtu), *info)
    assert messages.read_link(body) == Link(name, index, kind, mtu, up, running)


@given(names, indexes, st.sampled_from(sorted(messages.SWITCHES)), st.binary(max_size=11))
def test_a_switch_of_which_the_kernel_told_nothing_is_not_known(
    name: str, index: int, path: str, told: bytes
) -> None:
    assert messages.switch(Link(name, index), path) is None
    assert messages.switch(Link(name, index, switches=told), path) is None
