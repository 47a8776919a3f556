"""What is asked for when a name is asked for, and how answers are read and told."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import dnslib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirt.errors import InvalidRequest
from minirt.explain import naming, naming_lines
from minirt.explain.naming import Asker, Holder, Service, Told
from minirt.network import lookup, resolv_conf
from minirt.network.lookup import Record, Reply


@pytest.mark.parametrize(
    ("name", "conf", "tried"),
    [
        ("web", "search a.test b.test", ["web.a.test.", "web.b.test.", "web"]),
        ("web", "search a.test\noptions ndots:0", ["web", "web.a.test."]),
        ("web.x", "search a.test", ["web.x", "web.x.a.test."]),
        ("web.x", "search a.test\noptions ndots:2", ["web.x.a.test.", "web.x"]),
        ("web.", "search a.test", ["web."]),
        ("web", "search .", ["web"]),
        ("a.b", f"search c\noptions ndots:{'9' * 5000}", ["a.b.c.", "a.b"]),
        ("a.b", f"search c\noptions ndots:{'0' * 5000}1", ["a.b", "a.b.c."]),
        (f"{'a.' * 15}a", "search c\noptions ndots:99", [f"{'a.' * 15}a", f"{'a.' * 15}a.c."]),
        ("web", "", ["web"]),
    ],
)
def test_names_are_tried_as_the_c_library_does(name: str, conf: str, tried: list[str]) -> None:
    assert naming.candidates(name, resolv_conf.read(conf)) == tried


def test_names_and_texts_of_an_answer_are_one_line_without_controls() -> None:
    """A server chooses them; a newline would forge a line of ``dns query``."""
    hostile = b"a\n  10.1.0.2 is web's\x1b[2J"
    wire = bytes([len(hostile)]) + hostile
    header = struct.pack("!HHHHHH", 1, 0x8180, 0, 2, 0, 0)
    text = b"\0" + struct.pack("!HHIH", dnslib.QTYPE.TXT, 1, 0, len(wire)) + wire
    alias = wire + b"\0" + struct.pack("!HHIH", dnslib.QTYPE.CNAME, 1, 0, len(wire) + 1)
    answer = header + text + alias + wire + b"\0"
    assert answer.count(b"\x1b[2J") == 3  # The control: a reader of bytes sees them.
    status, records = lookup.read(answer)
    assert (status, len(records)) == ("NOERROR", 2)
    for one in records:
        assert f"{one.name}{one.text}".isprintable()


@given(st.ip_addresses())
def test_an_address_is_found_again_in_its_reverse_name(address: object) -> None:
    reverse = f"{ip_address(str(address)).reverse_pointer}."
    assert ip_address(naming._forward(reverse)) == address


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ("web", "its name"),
        ("WEB.", "its name"),
        ("web.net1", "its name, with the network's"),
        ("data", "data, an alias, short id or hostname"),
        ("2.0.0.10.in-addr.arpa", "its address"),
    ],
)
def test_it_is_told_by_which_name_a_lease_was_found(asked: str, why: str) -> None:
    assert naming._why(asked, "web", "net1") == why


def test_a_question_and_its_answer_are_written_and_read() -> None:
    query = dnslib.DNSRecord.parse(lookup.question("web", "aaaa"))
    assert (str(query.q.qname), query.q.qtype, query.header.rd) == ("web.", dnslib.QTYPE.AAAA, 1)
    answer = query.reply()
    answer.add_answer(*dnslib.RR.fromZone("web. 60 IN AAAA fd00::2"))
    status, records = lookup.read(answer.pack())
    assert (status, records) == ("NOERROR", (Record("web.", 60, "AAAA", "fd00::2"),))


@pytest.mark.parametrize(("name", "kind"), [("web", "XX"), ("a" * 64, "A"), ("a." * 200, "A")])
def test_what_cannot_be_asked_is_refused(name: str, kind: str) -> None:
    with pytest.raises(InvalidRequest):
        lookup.question(name, kind)


ASKER = Asker("web", 7, "nameserver 127.0.0.11\noptions ndots:0\n", "net1", ("net1",))
SERVICE = Service(5353, "net1", 42)


def reply(status: str, *texts: str) -> Reply:
    records = tuple(Record("db.", 0, "A", text) for text in texts)
    return Reply("127.0.0.11", 0.0012, status, records)


def test_a_trace_tells_whose_name_it_is() -> None:
    told = Told("db", reply("NOERROR", "10.0.0.3"), (Holder("net1", "10.0.0.3", "db", "its name"),))
    assert (
        naming_lines.trace(ASKER, SERVICE, [told])
        == """\
web reads its resolv.conf: servers 127.0.0.11, search none, options ndots:0
Inside, port 53 of 127.0.0.11 leads to port 5353: the resolver of network net1, process 42
It knows the leases of: net1
What it doesn't know it asks the host's servers, from the host
1. db is asked for
   db. 0 A 10.0.0.3
     10.0.0.3 is db's on net1, by its name
     127.0.0.11 after 1.2 ms
"""
    )


def test_a_trace_tells_what_the_servers_behind_said() -> None:
    upstream = Reply("192.0.2.53", 0.02, "NXDOMAIN")
    told = Told("nosuch", reply("NXDOMAIN"), (), (upstream,))
    text = naming_lines.trace(ASKER, SERVICE, [told])
    assert "nosuch: NXDOMAIN: there is no such name" in text
    assert "   upstream 192.0.2.53 after 20.0 ms: NXDOMAIN\n" in text


@pytest.mark.parametrize(
    ("service", "said"),
    [
        (Service(5353, "net1", 42, is_stopped=True), "process 42, which is STOPPED"),
        (Service(5353, "net1", 0), "NO PROCESS"),
        (Service(0, "net1", 42), "NO SOCKET"),
        (None, "no resolver of minirt's is in between"),
    ],
)
def test_what_is_wrong_behind_it_is_told(service: Service | None, said: str) -> None:
    assert said in "\n".join(naming_lines.background(ASKER, service))
