"""What minirt writes to the kernel, and reads from it, held against pyroute2."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface
from typing import Any

import pytest
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from minirt.kernel.netlink import records
from minirt.kernel.netlink.messages import ADDRESS, LINK, ROUTE, Form
from minirt.kernel.netlink.records import Link

HEADER = 16  # struct nlmsghdr
PORT = {"IFLA_BRPORT_MODE": 1, "IFLA_BRPORT_ISOLATED": 0}
INFO = {"IFLA_INFO_SLAVE_KIND": "bridge", "IFLA_INFO_SLAVE_DATA": PORT}
FAR = {"IFLA_IFNAME": "eth0", "IFLA_ADDRESS": "02:42:ac:12:00:02", "IFLA_NET_NS_FD": 7}
FAMILIES = {"AF_INET6": {"IFLA_INET6_ADDR_GEN_MODE": 1}}


def attributes(values: Any) -> Any:
    """Say the same in pyroute2's words."""
    if isinstance(values, dict):
        return {"attrs": [(name, attributes(value)) for name, value in values.items()]}
    return "bridge" if values == 4 else values  # a mode of macvlan: a word there


def written_by_pyroute2(kind: Any, form: Form, values: Any) -> bytes:
    message = kind()
    for name in form.fields:
        theirs = {"type": "ifi_type"}.get(name, name) if kind is ifinfmsg else name
        message[theirs] = values.get(name, 0)
    named = {name: value for name, value in values.items() if name not in form.fields}
    message["attrs"] = attributes(named)["attrs"]
    message.encode()
    return bytes(message.data[HEADER:])


@pytest.mark.parametrize(
    ("kind", "form", "values"),
    [
        (ifinfmsg, LINK, records.link_query("veth0")),
        (ifinfmsg, LINK, records.link_query(index=70000)),
        (ifinfmsg, LINK, {**records.up(), "IFLA_IFNAME": "br-0", **records.kind("bridge")}),
        (ifinfmsg, LINK, {"IFLA_MASTER": 3, **records.kind("veth", VETH_INFO_PEER=FAR)}),
        (ifinfmsg, LINK, {"IFLA_LINK": 2, **records.kind("macvlan", IFLA_MACVLAN_MODE=4)}),
        (ifinfmsg, LINK, {"IFLA_IFNAME": "odd", "IFLA_LINKINFO": INFO, "IFLA_AF_SPEC": FAMILIES}),
        (ifaddrmsg, ADDRESS, records.address(Link("eth0", 2), ip_interface("172.18.0.2/16"))),
        (ifaddrmsg, ADDRESS, records.address(Link("eth0", 2), ip_interface("fd00::2/64"))),
        (rtmsg, ROUTE, records.default_route(ip_address("172.18.0.1"))),
        (rtmsg, ROUTE, records.default_route(ip_address("fd00::1"))),
        (rtmsg, ROUTE, {"family": 2, "dst_len": 32, "RTA_DST": "192.0.2.1", "RTA_IIF": 3}),
    ],
)
def test_the_same_bytes_as_pyroute2_writes(kind: Any, form: Form, values: Any) -> None:
    ours, theirs = form.write(values), written_by_pyroute2(kind, form, values)
    nested = (0x80).to_bytes()  # It marks attributes of attributes; the kernel reads both.
    assert ours == theirs or ours == theirs.replace(nested, b"\0"), (ours.hex(), theirs.hex())


def test_what_is_written_can_be_read() -> None:
    values = {**FAR, "index": 5, "IFLA_LINKINFO": {"IFLA_INFO_KIND": "veth", **INFO}}
    answer = LINK.read(LINK.write(values))
    assert (answer["index"], answer["flags"], answer.get("IFLA_IFNAME")) == (5, 0, "eth0")
    assert answer.get("IFLA_ADDRESS") == FAR["IFLA_ADDRESS"]
    info = answer.get("IFLA_LINKINFO")
    assert info.get("IFLA_INFO_KIND") == "veth"
    assert info.get("IFLA_INFO_SLAVE_DATA").get("IFLA_BRPORT_MODE") == 1
    assert answer.get("IFLA_MTU") is None and answer.get("IFLA_MTU", 1) == 1


def test_what_is_cut_off_or_unknown_is_passed_over() -> None:
    whole = LINK.write({"IFLA_IFNAME": "lo"})
    unknown = b"\x08\x00\xff\x3f" + b"\xaa" * 4
    assert LINK.read(whole[:16] + unknown + whole[16:]).get("IFLA_IFNAME") == "lo"
    for end in range(16, len(whole)):
        assert LINK.read(whole[:end]).get("IFLA_IFNAME", "") in ("", "l", "lo")
    endless = whole[:16] + b"\0\0\0\0" * 3
    assert LINK.read(endless).get("IFLA_IFNAME") is None
