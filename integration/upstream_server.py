"""A DNS server whose answers depend on the question, and which writes down what it is asked.

    upstream_server.py ADDRESS LOG      prints "up"; the log has "TRANSPORT NAME TYPE" lines

Names: nx.… NXDOMAIN, servfail.…, refused.…, silent.… no answer, slow.… after a second,
many.… sixty addresses, cut.… truncated over UDP and whole over TCP; all others 192.0.2.99.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from pathlib import Path
from typing import Any

import dnslib

RCODES = {"servfail": 2, "nx": 3, "refused": 5}


def answer(query: bytes, transport: str, log: Path) -> bytes:
    """Return the answer, empty for silence."""
    record = dnslib.DNSRecord.parse(query)
    name = str(record.q.qname)
    with log.open("a") as file:
        file.write(f"{transport} {name} {dnslib.QTYPE[record.q.qtype]}\n")
    kind = name.partition(".")[0].lower()
    reply = record.reply(aa=1)
    reply.header.rcode = RCODES.get(kind, 0)
    if kind == "silent":
        return b""
    if kind == "cut" and transport == "udp":
        reply.header.tc = 1
    elif not reply.header.rcode:
        for number in range(60 if kind in ("many", "cut") else 1):
            address = f"192.0.2.{99 + number}"
            reply.add_answer(dnslib.RR(record.q.qname, 1, rdata=dnslib.A(address), ttl=300))
    return bytes(reply.pack())


def serve(address: str, log: Path) -> None:
    """Answer for ever."""
    family, *_, place = socket.getaddrinfo(address, 53, type=socket.SOCK_DGRAM)[0]
    udp = socket.socket(family, socket.SOCK_DGRAM)
    tcp = socket.create_server(place, family=family)
    udp.bind(place)
    print("up", flush=True)
    later: list[tuple[float, bytes, Any]] = []
    while True:
        ready, _, _ = select.select([udp, tcp], [], [], 0.01 if later else None)
        if udp in ready:
            query, sender = udp.recvfrom(65535)
            reply = answer(query, "udp", log)
            delay = 1.0 if b"\x04slow" in query else 0.0
            if reply:
                later.append((time.monotonic() + delay, reply, sender))
        if tcp in ready:
            stream, _ = tcp.accept()
            with stream:
                length = int.from_bytes(stream.recv(2, socket.MSG_WAITALL), "big")
                query = stream.recv(length, socket.MSG_WAITALL)
                reply = answer(query, "tcp", log)
                time.sleep(1.0 if b"\x04slow" in query else 0.0)
                stream.sendall(len(reply).to_bytes(2, "big") + reply)
        for due in [one for one in later if one[0] <= time.monotonic()]:
            udp.sendto(due[1], due[2])
            later.remove(due)


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]))
