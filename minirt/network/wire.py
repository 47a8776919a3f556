"""Write answers: the one place that knows dnslib.

It is slow (some 100 microseconds per answer), so it writes each answer once, and the wire
form is kept (see answers.py). Only the resolver's own process imports this.
"""

from __future__ import annotations

import dnslib

from minirt.network import question as q
from minirt.network.question import Question
from minirt.network.zone import Address

# Nobody may remember an address: the container may be back under another one, or another
# container may have it, in the next millisecond. RFC 1035, 3.2.1: "Zero values are
# interpreted to mean that the RR can only be used for the transaction in progress". To ask
# again costs a client 50 microseconds. An empty answer's SOA record says the same (RFC 2308,
# section 5).
TTL = 0


def of_addresses(question: Question, addresses: list[Address]) -> list[bytes]:
    """Return the records that answer ``question``; the owner of each is a pointer to it."""
    rows = []
    for address in addresses:
        rtype, rdata = _rdata(address)
        if question.qtype in (rtype, q.ANY):
            rows.append(dnslib.RR(_label(question.name), rtype, rdata=rdata, ttl=TTL))
    packed, records = _pack(question, rows), []
    for row in rows:  # Pointer, type, class, TTL and length are 12 bytes; the address follows.
        size = 12 + (4 if row.rtype == q.A else 16)
        records.append(packed[:size])
        packed = packed[size:]
    return records


def of_pointer(question: Question, name: bytes) -> list[bytes]:
    """Return the PTR record (RFC 1035, section 3.3.12) to ``name``."""
    row = dnslib.RR(_label(question.name), q.PTR, rdata=dnslib.PTR(_label(name)), ttl=TTL)
    return [_pack(question, [row])]


def of_nothing(question: Question) -> bytes:
    """Return the SOA record that tells "nothing of that type" from a referral (RFC 2308, 2.2).

    The name itself is the top of a zone that has no servers.
    """
    soa = dnslib.SOA(".", ".", (0, 0, 0, 0, TTL))
    row = dnslib.RR(_label(question.name), dnslib.QTYPE.SOA, rdata=soa, ttl=TTL)
    return _pack(question, [row])


def opt(flags: int, payload: int, rcode: int = q.NOERROR) -> bytes:
    """Return the OPT record that a query with one has a right to (RFC 6891, 6.1.1).

    DO is copied (RFC 3225, section 3); ``rcode`` gives its upper eight bits.
    """
    row = dnslib.EDNS0(flags="do" if flags & 0x8000 else "", ext_rcode=rcode >> 4, udp_len=payload)
    buffer = dnslib.DNSBuffer()
    row.pack(buffer)
    return bytes(buffer.data)


def _rdata(address: Address) -> tuple[int, dnslib.RD]:
    if address.version == 4:
        return q.A, dnslib.A(str(address))
    return q.AAAA, dnslib.AAAA(str(address))


def _label(name: bytes) -> dnslib.DNSLabel:
    return dnslib.DNSLabel(q.labels(name))


def _pack(question: Question, rows: list[dnslib.RR]) -> bytes:
    message = dnslib.DNSRecord(
        dnslib.DNSHeader(id=0, qr=1),
        q=dnslib.DNSQuestion(_label(question.name), question.qtype, question.qclass),
    )
    message.add_answer(*rows)
    return bytes(message.pack())[question.end :]
