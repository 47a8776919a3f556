"""The other DNS servers of dns.py: two in Python, aardvark-dns, Docker's; and whom all ask."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import AF_INET, SOCK_DGRAM, socket

NAMES = {"web": "10.1.0.2", "www": "10.1.0.2", "db": "10.1.0.3"}
UPSTREAM = "127.0.0.53"
GATEWAY = "10.1.0.1"


def plain(address: str, port: int) -> None:
    """Be a server as one writes it with dnslib, with nothing around it."""
    import dnslib

    server = _bound(address, port)
    while True:
        data, sender = server.recvfrom(4096)
        query = dnslib.DNSRecord.parse(data)
        name = str(query.q.qname).rstrip(".").lower()
        reply = query.reply()
        if name in NAMES and query.q.qtype == dnslib.QTYPE.A:
            record = dnslib.A(NAMES[name])
            reply.add_answer(dnslib.RR(query.q.qname, dnslib.QTYPE.A, rdata=record, ttl=0))
        server.sendto(reply.pack(), sender)


def bare(address: str, port: int) -> None:
    """Be a loop that takes a datagram and sends one back: the most that Python can do."""
    server = _bound(address, port)
    while True:
        data, sender = server.recvfrom(4096)
        server.sendto(data[:2] + b"\x81\x80" + data[4:], sender)


def _bound(address: str, port: int) -> socket:
    server = socket(AF_INET, SOCK_DGRAM)
    server.bind((address, port))
    print("up", flush=True)
    return server


@contextmanager
def python(pid: int | str, kind: str, address: str, port: int) -> Iterator[int]:
    """Keep one of the servers above running in the network namespace of ``pid``."""
    from integration.sandbox import started

    words = (sys.executable, Path(__file__), kind, address, port)
    with started("nsenter", f"--net=/proc/{pid}/ns/net", *words) as child:
        assert child.stdout
        assert child.stdout.readline() == "up\n"
        yield child.pid


def aardvark() -> str | None:
    """Return the program, if it is installed or named by AARDVARK."""
    return os.environ.get("AARDVARK") or shutil.which("/usr/lib/podman/aardvark-dns")


def start_aardvark(program: str, pid: int, folder: Path) -> tuple[str, int, int]:
    """Start it at a bridge to which ``pid`` is connected; return where it is asked, and its pid."""
    from integration.sandbox import in_netns, shell, wait_until

    folder.mkdir()
    addresses = enumerate(NAMES.items(), start=10)
    lines = [f"{str(number) * 32} {ip}  {name}" for number, (name, ip) in addresses]
    (folder / "net1").write_text("\n".join([f"{GATEWAY} {UPSTREAM}", *lines, ""]))
    shell("ip", "link", "add", "bridge", "type", "bridge")
    shell("ip", "address", "add", f"{GATEWAY}/24", "dev", "bridge")
    shell(
        "ip",
        "link",
        "add",
        "port",
        "master",
        "bridge",
        "type",
        "veth",
        "peer",
        "eth0",
        "netns",
        pid,
    )
    for link in ("bridge", "port"):
        shell("ip", "link", "set", link, "up")
    in_netns(pid, "ip", "address", "add", f"{NAMES['web']}/24", "dev", "eth0")
    in_netns(pid, "ip", "link", "set", "eth0", "up")
    shell(program, "--config", folder, "--port", 5310, "run")
    found: list[int] = []

    def look() -> bool:
        for one in Path("/proc").glob("[0-9]*/comm"):
            if one.read_text().strip() == "aardvark-dns":
                found.append(int(one.parent.name))
        return bool(found)

    wait_until(look, "aardvark-dns")
    return GATEWAY, 5310, found[0]


def has_docker() -> bool:
    """Say whether Docker is installed, or unpacked by setup.sh."""
    from bench.engines import ENGINES

    return ENGINES["docker"].is_installed()


def start_docker(folder: Path) -> tuple[int, str, int, int]:
    """Start dockerd and three containers; return from where it is asked, at what, and its pid."""
    from bench.engines import REPOSITORY
    from bench.engines import start_docker as start
    from integration.sandbox import shell

    folder.mkdir()
    docker = start(folder)
    shell(REPOSITORY / "rootfs-tools" / "busybox", folder / "busybox.tar", seconds=60)
    shell(*docker, "import", folder / "busybox.tar", "busybox", seconds=60)
    shell(*docker, "network", "create", "net1")
    for name, alias in (("web", "www"), ("db", "base"), ("asker", "self")):
        words = ("--name", name, "--network", "net1", "--network-alias", alias)
        shell(*docker, "run", "-d", *words, "busybox", "sleep", "99999", seconds=60)
    asker = shell(*docker, "inspect", "-f", "{{.State.Pid}}", "asker").stdout
    return int(asker), "127.0.0.11", 53, int((folder / "run" / "pid").read_text())


if __name__ == "__main__":
    {"plain": plain, "bare": bare}[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
