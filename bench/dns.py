"""Measure how fast local names are answered: `python bench/dns.py [SECONDS]`, as root.

dnsperf(1) asks inside a container's network namespace: our resolver, a plain dnslib server, a
loop in Python that only sends something back (the most that is possible), and aardvark-dns
where it is installed or named by AARDVARK. Everything happens in namespaces of its own.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve()
SANDBOX = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
INSIDE = "MINIRT_BENCH_SANDBOX"
NAMES = {"web": "10.1.0.2", "www": "10.1.0.2", "db": "10.1.0.3"}
QUERIES = "web A\nwww A\ndb A\nweb AAAA\n"


def plain(port: int) -> None:
    """Be a server as one writes it with dnslib, with nothing around it."""
    import socket

    import dnslib

    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", port))
    print("up", flush=True)
    while True:
        data, sender = server.recvfrom(4096)
        query = dnslib.DNSRecord.parse(data)
        name = str(query.q.qname).rstrip(".").lower()
        reply = query.reply()
        if name in NAMES and query.q.qtype == dnslib.QTYPE.A:
            address = dnslib.A(NAMES[name])
            reply.add_answer(dnslib.RR(query.q.qname, dnslib.QTYPE.A, rdata=address, ttl=0))
        server.sendto(reply.pack(), sender)


def bare(port: int) -> None:
    """Be a loop that takes a datagram and sends one back."""
    import socket

    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", port))
    print("up", flush=True)
    while True:
        data, sender = server.recvfrom(4096)
        server.sendto(data[:2] + b"\x81\x80" + data[4:], sender)


def measure(seconds: int) -> None:
    """Print a table."""
    sys.path.insert(0, str(HERE.parents[1]))
    from integration.naming import box

    top = Path(tempfile.mkdtemp())
    os.environ |= {"MINIRT_RUNROOT": str(top / "run"), "MINIRT_ROOT": str(top / "root")}
    (top / "queries").write_text(QUERIES)
    with box("net1") as made:
        made.take("net1", NAMES["web"], "web", "www")
        made.take("net1", NAMES["db"], "db")
        ask = ("dnsperf", "-d", top / "queries", "-l", seconds, "-c", 4, "-q", 50)

        def rate(title: str, address: str, port: int) -> None:
            told = made.run(*ask, "-s", address, "-p", port, seconds=seconds + 20).stdout
            found = re.search(r"per second:\s+(\d+)", told)
            lost = re.search(r"lost:\s+(\d+)", told)
            print(
                f"{title:14} {found[1] if found else '?':>8} q/s  lost {lost[1] if lost else '?'}"
            )

        rate("minirt", "127.0.0.11", 53)
        for number, title in enumerate(("plain", "bare")):
            with server(made.pid, sys.executable, HERE, title, 5300 + number):
                rate(title, "127.0.0.1", 5300 + number)
        program = os.environ.get("AARDVARK") or shutil.which("/usr/lib/podman/aardvark-dns")
        if program:
            (top / "aardvark").mkdir()
            lines = [
                f"{number * 64} {ip}  {name}"
                for number, (name, ip) in zip("abc", NAMES.items(), strict=True)
            ]
            (top / "aardvark" / "net1").write_text("\n".join(["127.0.0.1", *lines, ""]))
            made.run(program, "--config", top / "aardvark", "--port", 5310, "run")
            rate("aardvark-dns", "127.0.0.1", 5310)
    shutil.rmtree(top)


@contextmanager
def server(pid: int, *words: object) -> Iterator[None]:
    """Keep a server running in the namespace of ``pid`` during the body."""
    from integration.sandbox import started

    with started("nsenter", f"--net=/proc/{pid}/ns/net", *words) as child:
        assert child.stdout and child.stdout.readline() == "up\n"
        yield


def main(words: list[str]) -> None:
    """Find out which of the parts to play."""
    if words[:1] in (["plain"], ["bare"]):
        {"plain": plain, "bare": bare}[words[0]](int(words[1]))
    elif os.environ.get(INSIDE):
        measure(int(words[0]) if words else 3)
    else:
        os.environ[INSIDE] = "1"
        os.execvp("unshare", [*SANDBOX, sys.executable, str(HERE), *words])


if __name__ == "__main__":
    main(sys.argv[1:])
