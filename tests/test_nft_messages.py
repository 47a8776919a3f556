"""Messages to nftables: their bytes are read back, and are those that nft(8) has sent."""

from __future__ import annotations

import errno
import socket
import struct
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirt.kernel import nft_messages, nft_rules, nlmsg
from minirt.kernel.nft_elements import (
    Element,
    add,
    create,
    ip_key,
    mac_key,
    mark_key,
    name_key,
)
from minirt.kernel.nft_messages import Change

START = 4  # bytes of struct nfgenmsg
TABLES = {"inet": 1, "ip": 2, "bridge": 7, "ip6": 10}

names = st.from_regex(r"[a-z][a-z0-9.-]{0,14}", fullmatch=True)
macs = st.binary(min_size=6, max_size=6).map(lambda one: one.hex(":"))
addresses = st.ip_addresses()
keys = st.lists(
    names.map(name_key)
    | macs.map(mac_key)
    | addresses.map(ip_key)
    | st.integers(0, 2**32 - 1).map(mark_key),
    min_size=1,
    max_size=4,
).map(tuple)
verdicts = st.just("") | st.tuples(st.sampled_from(("jump", "goto")), names).map(" ".join)
comments = st.text(st.characters(codec="ascii", exclude_characters='"\0'), max_size=120)
elements = st.builds(
    Element,
    st.tuples(st.sampled_from(sorted(TABLES)), names).map(" ".join),
    names,
    keys,
    verdicts,
    comments,
)


def inside(data: bytes, *path: int) -> dict[int, bytes]:
    """Return the attributes inside of an attribute."""
    found = nlmsg.attributes(data)
    for kind in path:
        found = nlmsg.attributes(found[kind])
    return found


@given(elements)
def test_an_element_is_read_back(element: Element) -> None:
    family, _, table = element.table.partition(" ")
    assert element.body[:START] == bytes([TABLES[family], 0, 0, 0])
    whole = element.body[START:]
    assert inside(whole)[1] == table.encode() + b"\0"
    assert inside(whole)[2] == element.set.encode() + b"\0"
    key = inside(whole, 3, 1, 1)[1]
    assert len(element.key) == 1 or len(key) % 4 == 0  # Only fields of several are padded.
    for field in element.key:
        mine, key = key[: len(field.data)], key[len(field.data) + 3 & ~3 :]
        assert mine == field.data
    assert key == b""
    parts = inside(whole, 3, 1)
    assert (2 in parts, 6 in parts) == (bool(element.verdict), bool(element.comment))
    if element.verdict:
        code, chain = element.verdict.split()
        found = inside(whole, 3, 1, 2, 2)
        assert struct.unpack("!i", found[1]) == ({"jump": -3, "goto": -4}[code],)
        assert found[2] == chain.encode() + b"\0"
    if element.comment:
        assert parts[6] == bytes([0, len(element.comment) + 1]) + element.comment.encode() + b"\0"


@given(st.lists(elements, min_size=1, max_size=5))
def test_a_batch_is_between_its_ends_and_the_last_change_is_confirmed(many: list[Element]) -> None:
    block = nft_messages.batch([*map(add, many[:-1]), create(many[-1])])
    found = []
    while block:
        length, kind, flags, number, port = nlmsg.HEADER.unpack_from(block)
        found.append((kind, flags, number, block[nlmsg.HEADER.size : length]))
        block = block[length:]
        assert length % 4 == 0
        assert port == 0
    end = b"\0\0\0\x0a"  # NFNL_SUBSYS_NFTABLES
    last = len(many)
    assert found[0] == (16, 1, 0, end)
    assert found[1:last] == [(0xA0C, 0x401, n, one.body) for n, one in enumerate(many[:-1], 1)]
    assert found[last:] == [(0xA0C, 0x605, last, many[-1].body), (17, 1, last + 1, end)]


def test_words_are_those_of_nft() -> None:
    key = name_key("veth1"), mac_key("02:42:ac:12:00:02"), ip_key(ip_address("172.18.0.2"))
    element = Element("bridge minirt", "addresses", key)
    assert element.words == "bridge minirt addresses { veth1 . 02:42:ac:12:00:02 . 172.18.0.2 }"
    element = Element("bridge minirt", "ports", key[:1], "jump strict", "who")
    wanted = 'create element bridge minirt ports { veth1 comment "who" : jump strict }'
    assert create(element).words == wanted
    chain = nft_rules.add_chain("ip t", "c", "output", -300)
    assert chain.words == "add chain ip t c { type filter hook output priority -300; }"


# What nft 1.1.3 has sent (strace -x -e sendmsg), behind struct nlmsghdr.
PORT = """
07000000 0b000100 6d696e69 72740000 0a000200 706f7274 73000000 60000380 5c000180 18000180 14000100
76657468 31000000 00000000 00000000 1c000280 18000280 08000100 fffffffd 0b000200 73747269 63740000
23000600 001d3032 3a34323a 61633a31 323a3030 3a303220 3137322e 31382e30 2e320000
"""
TCP_RULE_END = """
10000180 0c000100 6e6f7472 61636b00 2c000180 0e000100 696d6d65 64696174 65000000 18000280 08000100
00000001 0c000280 06000100 115c0000 44000180 0c000100 7061796c 6f616400 34000280 08000500 00000001
08000200 00000002 08000300 00000002 08000400 00000002 08000600 00000001 08000700 00000010
"""
UDP_RULE = """
02000000 0f000100 6d696e69 72745f64 6e730000 0b000200 6f757470 75740000 8c010480 34000180 0c000100
7061796c 6f616400 24000280 08000100 00000001 08000200 00000001 08000300 00000010 08000400 00000004
2c000180 08000100 636d7000 20000280 08000100 00000001 08000200 00000000 0c000380 08000100 7f00000b
24000180 09000100 6d657461 00000000 14000280 08000200 00000010 08000100 00000001 2c000180 08000100
636d7000 20000280 08000100 00000001 08000200 00000000 0c000380 05000100 11000000 34000180 0c000100
7061796c 6f616400 24000280 08000100 00000001 08000200 00000002 08000300 00000002 08000400 00000002
2c000180 08000100 636d7000 20000280 08000100 00000001 08000200 00000000 0c000380 06000100 00350000
10000180 0c000100 6e6f7472 61636b00 2c000180 0e000100 696d6d65 64696174 65000000 18000280 08000100
00000001 0c000280 06000100 115c0000 3c000180 0c000100 7061796c 6f616400 2c000280 08000500 00000001
08000200 00000002 08000300 00000002 08000400 00000002 08000800 00000001
"""


def rule(protocol: str) -> Change:
    met = nft_rules.address_is("daddr", "127.0.0.11"), nft_rules.port_is(protocol, "dport", 53)
    done = nft_rules.NOTRACK, nft_rules.set_port(protocol, "dport", 4444)
    return nft_rules.add_rule("ip minirt_dns", "output", *met, *done)


def test_bytes_are_those_of_nft() -> None:
    comment = "02:42:ac:12:00:02 172.18.0.2"
    element = Element("bridge minirt", "ports", (name_key("veth1"),), "jump strict", comment)
    assert element.body == bytes.fromhex(PORT)
    assert rule("udp").body == bytes.fromhex(UDP_RULE)
    assert rule("tcp").body.endswith(bytes.fromhex(TCP_RULE_END))


@given(st.sampled_from(("udp", "tcp")), st.integers(1, 65535))
def test_a_port_is_written_as_on_the_wire(protocol: str, port: int) -> None:
    assert nft_rules.set_port(protocol, "sport", port).words == f"{protocol} sport set {port}"
    data = nft_rules.set_port(protocol, "sport", port).data
    assert port.to_bytes(2, "big") in data
    assert len(data) % 4 == 0


def answer(number: int, code: int) -> bytes:
    return nlmsg.HEADER.pack(36, 2, 0, number, 0) + struct.pack("=i", -code) + bytes(16)


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ([answer(2, 0)], None),
        ([answer(1, errno.EEXIST), answer(2, 0)], "File exists: nft first"),
        ([answer(1, errno.ENOENT), answer(2, errno.EEXIST)], "No such file.*: nft first"),
        ([answer(2, errno.EEXIST)], "File exists: nft second"),
        ([answer(0, errno.EPERM)], "not permitted: nft all changes"),
        ([answer(0, errno.ENOSPC), answer(2, 0)], "No space.*: nft all changes"),
        ([], "didn't answer"),
        ([answer(1, 0)], "didn't answer"),
    ],
)
def test_the_first_error_counts_and_nobody_waits_for_an_answer(
    answers: list[bytes], error: str | None
) -> None:
    ours, kernels = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    changes = [Change("first", 0, b""), Change("second", 0, b"")]
    with ours, kernels:
        for one in answers:
            kernels.send(one)
        if error is None:
            nft_messages._settle(ours, changes)
            return
        with pytest.raises(OSError, match=error):
            nft_messages._settle(ours, changes)
