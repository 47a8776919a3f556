"""The answers to local names, byte for byte, and what of them is kept."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import dnslib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirt.network import question as q
from minirt.network.answers import Answers
from minirt.network.zone import Member, Zone


def zone(name: str, members: dict[str, list[str]]) -> Zone:
    """Return a zone whose members are called what ``members`` says."""
    made = Zone(name, Path("/nonexistent"))
    for address, names in members.items():
        wire = tuple(one for one in map(q.wire_name, names) if one)
        made.members[address] = Member(ip_address(address), wire[0], wire)
    made._index()
    return made


MANY = {f"10.0.0.{number}": [f"c{number}", "many"] for number in range(2, 42)}
NET1 = zone("net1", {"10.0.0.200": ["web"], "10.0.0.201": ["db"], "fd00::2": ["six", "db"]} | MANY)


@pytest.fixture
def answers() -> Answers:
    made = Answers()
    made.know([NET1])
    return made


def ask(
    answers: Answers, name: str, qtype: str = "A", *, edns: int = 0, limit: int | None = None
) -> dnslib.DNSRecord:
    record = dnslib.DNSRecord.question(name, qtype)
    if edns:
        record.add_ar(dnslib.EDNS0(udp_len=edns))
    message = bytes(record.pack())
    reply = answers.local(message, q.read(message), limit=limit)
    assert reply is not None
    parsed = dnslib.DNSRecord.parse(reply)
    assert parsed.header.id == record.header.id
    return parsed


def test_a_name_has_its_address_for_now_only(answers: Answers) -> None:
    reply = ask(answers, "web")
    assert [(str(rr.rname), str(rr.rdata), rr.ttl) for rr in reply.rr] == [
        ("web.", "10.0.0.200", 0)
    ]
    header = reply.header
    assert (header.qr, header.aa, header.rd, header.ra, header.rcode) == (1, 0, 1, 1, q.NOERROR)


def test_the_case_of_the_question_comes_back(answers: Answers) -> None:
    reply = ask(answers, "wEb.NeT1")
    assert (str(reply.q.qname), str(reply.rr[0].rname)) == ("wEb.NeT1.", "wEb.NeT1.")


@pytest.mark.parametrize(
    "qtype", ["AAAA", "MX", "TXT", "SOA", "NS", "HTTPS", "CNAME", "SRV", "PTR"]
)
def test_a_known_name_has_nothing_of_another_type(answers: Answers, qtype: str) -> None:
    reply = ask(answers, "web", qtype)
    assert (reply.header.rcode, reply.rr) == (q.NOERROR, [])
    (soa,) = reply.auth  # RFC 2308: no referral; and for now only.
    assert (str(soa.rname), soa.rtype, soa.ttl) == ("web.", dnslib.QTYPE.SOA, 0)
    assert soa.rdata.times[-1] == 0


def test_what_has_records_or_failed_has_no_soa(answers: Answers) -> None:
    assert not ask(answers, "web").auth
    assert not ask(answers, "200.0.0.10.in-addr.arpa", "PTR").auth
    assert ask(answers, "web", "MX", edns=1232).auth
    message = bytes(dnslib.DNSRecord(q=dnslib.DNSQuestion("web", 1, dnslib.CLASS.CH)).pack())
    assert not dnslib.DNSRecord.parse(answers.local(message, q.read(message))).auth


def test_any_gives_both_families(answers: Answers) -> None:
    assert {str(rr.rdata) for rr in ask(answers, "db", "ANY").rr} == {"10.0.0.201", "fd00::2"}
    assert [str(rr.rdata) for rr in ask(answers, "db", "AAAA").rr] == ["fd00::2"]


def test_an_address_has_a_name(answers: Answers) -> None:
    reply = ask(answers, "200.0.0.10.in-addr.arpa", "PTR")
    assert [str(rr.rdata) for rr in reply.rr] == ["web.net1."]


def test_who_does_not_want_recursion_has_the_same_answer(answers: Answers) -> None:
    record = dnslib.DNSRecord.question("web")
    record.header.rd = 0
    message = bytes(record.pack())
    reply = dnslib.DNSRecord.parse(answers.local(message, q.read(message)))
    assert (reply.header.rd, reply.header.ra, str(reply.rr[0].rdata)) == (0, 1, "10.0.0.200")


def test_an_unknown_name_is_not_answered(answers: Answers) -> None:
    message = bytes(dnslib.DNSRecord.question("nosuch").pack())
    assert answers.local(message, q.read(message)) is None


def test_another_class_than_in_is_refused(answers: Answers) -> None:
    message = bytes(dnslib.DNSRecord(q=dnslib.DNSQuestion("web", 1, dnslib.CLASS.CH)).pack())
    reply = dnslib.DNSRecord.parse(answers.local(message, q.read(message)))
    assert (reply.header.rcode, reply.rr) == (q.REFUSED, [])


def test_without_edns_512_bytes_are_the_limit(answers: Answers) -> None:
    reply = ask(answers, "many")
    assert (len(reply.rr), reply.header.tc, reply.ar) == (30, 1, [])
    assert len(reply.pack()) <= 512


@pytest.mark.parametrize(("size", "records"), [(100, 29), (600, 35), (1232, 40)])
def test_with_edns_the_clients_size_is_the_limit(answers: Answers, size: int, records: int) -> None:
    reply = ask(answers, "many", edns=size)
    assert len(reply.rr) == records
    assert reply.header.tc == (records < 40)
    assert reply.ar[0].rtype == dnslib.QTYPE.OPT


def test_over_tcp_everything_fits(answers: Answers) -> None:
    assert len(ask(answers, "many", limit=65535).rr) == 40


def test_each_answer_begins_with_another_address(answers: Answers) -> None:
    message = bytes(dnslib.DNSRecord.question("many").pack())
    answers.local(message, q.read(message))
    rotation = answers.kept[message[2:]]
    firsts = {message[:2] + next(rotation) for _ in range(40)}
    assert len({str(dnslib.DNSRecord.parse(one).rr[0].rdata) for one in firsts}) == 40


def test_an_unknown_edns_version_is_told(answers: Answers) -> None:
    record = dnslib.DNSRecord.question("web")
    record.add_ar(dnslib.EDNS0(version=1, udp_len=1232))
    message = bytes(record.pack())
    reply = dnslib.DNSRecord.parse(answers.local(message, q.read(message)))
    assert reply.header.rcode | reply.ar[0].edns_rcode << 4 == q.BADVERS


def test_new_zones_make_old_answers_void(answers: Answers) -> None:
    ask(answers, "web")
    assert answers.kept
    answers.know([zone("net1", {"10.0.0.9": ["web"]})])
    assert not answers.kept
    assert str(ask(answers, "web").rr[0].rdata) == "10.0.0.9"


def test_what_is_kept_is_bounded(answers: Answers) -> None:
    for number in range(500):  # The same name in many spellings, each with its own OPT.
        record = dnslib.DNSRecord.question("many")
        record.add_ar(dnslib.EDNS0(udp_len=1232 + number))
        message = bytes(record.pack())
        answers.local(message, q.read(message))
        assert answers.kept[message[2:]]
    assert len(answers.kept) * 40 * 822 < 1 << 20


@given(st.binary(max_size=80))
def test_nothing_that_can_be_read_breaks_the_answer(tail: bytes) -> None:
    answers = Answers()
    answers.know([NET1])
    for head in (b"\3web\0", b"\4many\0", b"\3web\4net1\0"):
        message = b"\x12\x34\1\0\0\1\0\0\0\0\0\1" + head + b"\0\1" + tail
        try:
            question = q.read(message)
        except q.Malformed:
            continue
        reply = answers.local(message, question)
        assert reply is not None
        assert len(reply) <= question.payload
        dnslib.DNSRecord.parse(reply)
