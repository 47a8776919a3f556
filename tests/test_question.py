"""Reading queries: what is right is understood, and nothing at all can break the reader."""

from __future__ import annotations

import random
import struct

import dnslib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirt.network import question as q

LABELS = st.lists(
    st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789-_", min_size=1, max_size=20),
    min_size=1,
    max_size=8,
)


def query(name: str = "web", qtype: str = "A", **header: int) -> bytes:
    record = dnslib.DNSRecord(
        dnslib.DNSHeader(id=0x1234, **header),
        q=dnslib.DNSQuestion(name, getattr(dnslib.QTYPE, qtype)),
    )
    return bytes(record.pack())


def rcode_of(message: bytes) -> int | None:
    with pytest.raises(q.Malformed) as caught:
        q.read(message)
    return caught.value.rcode


@given(labels=LABELS, qtype=st.integers(0, 65535), qclass=st.integers(0, 65535))
def test_what_dnslib_writes_is_read_back(labels: list[str], qtype: int, qclass: int) -> None:
    record = dnslib.DNSRecord(q=dnslib.DNSQuestion(".".join(labels), qtype, qclass))
    packed = bytes(record.pack())
    question = q.read(packed)
    assert [one.decode() for one in q.labels(question.name)] == [one.lower() for one in labels]
    assert (question.qtype, question.qclass, question.end) == (qtype, qclass, len(packed))


@given(st.binary(max_size=600))
def test_no_bytes_raise_anything_but_malformed(message: bytes) -> None:
    try:
        q.read(message)
    except q.Malformed:
        pass


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), max_size=12), st.data())
def test_no_mutation_of_a_query_raises_anything_but_malformed(
    changes: list[tuple[int, int]], data: st.DataObject
) -> None:
    message = bytearray(query("web.net1") + b"\0\0)\x04\xd0\0\0\x80\0\0\0")
    for place, value in changes:
        message[place % len(message)] = value
    cut = bytes(message[: data.draw(st.integers(0, len(message)))])
    try:
        q.read(cut)
    except q.Malformed as malformed:
        if malformed.rcode is not None:
            assert len(q.failure(cut, malformed.rcode)) == q.HEADER.size


def test_ten_thousand_random_packets_are_read_or_refused() -> None:
    dice = random.Random(50)
    good = query("web.net1")
    for _ in range(10_000):
        packet = bytearray(good if dice.random() < 0.7 else dice.randbytes(dice.randrange(80)))
        for _ in range(dice.randrange(5)):
            if packet:
                packet[dice.randrange(len(packet))] = dice.randrange(256)
        try:
            question = q.read(bytes(packet))
        except q.Malformed:
            continue
        assert 12 < question.end <= len(packet)
        assert len(question.name) <= 254


def test_the_largest_size_is_that_of_the_client_but_never_below_512() -> None:
    header = struct.pack("!HHHHHH", 1, 0x0100, 1, 0, 0, 1) + b"\3web\0\0\1\0\1"
    for size, expected in ((100, 512), (1232, 1232), (65535, 65535)):
        assert q.read(header + struct.pack("!BHHIH", 0, 41, size, 0x8000, 0)).payload == expected
    assert q.read(query()).payload == q.PLAIN_UDP


def test_a_pointer_in_the_question_is_malformed() -> None:
    loop = query()[:12] + b"\xc0\x0c\0\1\0\1"
    assert rcode_of(loop) == q.FORMERR


def test_two_questions_are_malformed_and_none_too() -> None:
    assert rcode_of(query()[:4] + b"\0\2" + query()[6:]) == q.FORMERR
    assert rcode_of(query()[:4] + b"\0\0" + query()[6:]) == q.FORMERR


def test_other_operations_are_not_implemented() -> None:
    assert rcode_of(query(opcode=4)) == q.NOTIMP


def test_an_answer_and_a_scrap_deserve_silence() -> None:
    assert rcode_of(query(qr=1)) is None
    assert rcode_of(query()[:11]) is None


def test_a_name_of_256_bytes_is_malformed() -> None:
    longest = (b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"a" * 61 + b"\0"
    assert len(longest) == 255
    q.read(query()[:12] + longest + b"\0\1\0\1")
    longer = (b"\x3f" + b"a" * 63) * 3 + b"\x3e" + b"a" * 62 + b"\0"
    assert rcode_of(query()[:12] + longer + b"\0\1\0\1") == q.FORMERR


def test_a_failure_repeats_id_question_and_recursion_desired() -> None:
    asked = query(rd=1)
    told = dnslib.DNSRecord.parse(q.failure(asked, q.SERVFAIL, len(asked)))
    assert (told.header.id, told.header.rd, told.header.rcode) == (0x1234, 1, q.SERVFAIL)
    assert str(told.q.qname) == "web."


def reply_to(asked: bytes, **header: int) -> bytes:
    record = dnslib.DNSRecord.parse(asked).reply()
    for key, value in header.items():
        setattr(record.header, key, value)
    return bytes(record.pack())


def test_only_the_answer_to_this_very_question_counts() -> None:
    asked = query("Web.Example")
    end = len(asked)
    assert q.answers_to(reply_to(asked), asked, end)
    assert q.answers_to(reply_to(query("web.example")), asked, end)
    assert not q.answers_to(reply_to(query("evil.example")), asked, end)
    assert not q.answers_to(reply_to(query("web.example", "AAAA")), asked, end)
    assert not q.answers_to(reply_to(asked, id=0x4321), asked, end)
    assert not q.answers_to(asked, asked, end)
    assert not q.answers_to(reply_to(asked)[:-1], asked, end)


def test_a_server_that_could_not_read_the_question_may_leave_it_out() -> None:
    asked = query()
    assert q.answers_to(q.failure(asked, q.FORMERR), asked, len(asked))
    assert not q.answers_to(q.failure(asked, q.NOERROR), asked, len(asked))


@given(st.binary(max_size=100))
def test_no_reply_breaks_the_comparison(reply: bytes) -> None:
    asked = query()
    q.answers_to(reply, asked, len(asked))


@pytest.mark.parametrize("name", ["", ".", "a..b", "x" * 64, ".".join(["abcdefgh"] * 29)])
def test_what_dns_cannot_write_has_no_wire_name(name: str) -> None:
    assert q.wire_name(name) is None


def test_a_wire_name_is_lower_case_and_keeps_its_borders() -> None:
    assert q.wire_name("Mixed.Case") == b"\5mixed\4case"
