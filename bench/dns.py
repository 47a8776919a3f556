"""How fast names are answered, beside other resolvers.

    python -m bench.dns [--quick]

dnsperf(1) asks inside a container's network namespace, each server in turn, several rounds of
that: our resolver, a loop in Python that only sends something back, a plain dnslib server, and
where they are installed aardvark-dns (or what AARDVARK names) and Docker's. Each is asked as its
containers ask it: we and Docker at 127.0.0.11, aardvark-dns at the address of a bridge. What a busy
machine does to the figures it does to all of them, so the ratios are what counts: of each round,
and of those the median. Everything happens in namespaces of its own.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench import dns_servers
from bench.engines import asked_inside

LOCAL = ("web A", "www A", "db A", "web AAAA")
FORWARDED = [
    f"n{number}.example A" for number in range(2000)
]  # What is asked twice at once is one.
CROWD, NETWORKS = 1000, 150


@dataclass(slots=True)
class Row:
    """One server, asked one file of questions, round after round."""

    title: str
    inside: int  # a process in whose network namespace it is asked
    address: str
    port: int
    pid: int  # of the server
    rates: list[float] = field(default_factory=list)  # per second
    worst: list[float] = field(default_factory=list)  # milliseconds: 99 of 100 are faster
    costs: list[float] = field(default_factory=list)  # microseconds of CPU per query
    lost: int = 0


def ask(row: Row, questions: Path, number: int) -> None:
    """Send some ``number`` questions as fast as they are answered."""
    from integration.sandbox import in_netns

    times = max(1, number // len(questions.read_text().splitlines()))
    words: tuple[object, ...] = ("dnsperf", "-d", questions, "-n", times, "-c", 4, "-q", 50)
    words += ("-t", 10, "-O", "latency-histogram", "-s", row.address, "-p", row.port)
    before = cpu_of(row.pid)
    told = in_netns(row.inside, *words, seconds=120).stdout
    spent = cpu_of(row.pid) - before
    row.rates.append(_figure(r"per second: +([\d.]+)", told))
    row.costs.append(spent / max(1.0, _figure(r"completed: +(\d+)", told)) * 1e6)
    row.lost += int(_figure(r"lost: +(\d+)", told))
    buckets = [(float(top), int(n)) for top, n in re.findall(r"- ([\d.]+): +(\d+)", told)]
    row.worst.append(_percentile(buckets, 0.99) * 1000)


def _figure(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    if found is None:
        sys.exit(f"dnsperf says:\n{text}")
    return float(found[1])


def _percentile(buckets: list[tuple[float, int]], part: float) -> float:
    left = part * sum(number for _, number in buckets)
    for top, number in buckets:
        left -= number
        if left <= 0:
            return top
    return 0.0


def cpu_of(pid: int) -> float:
    """Return the seconds of CPU that a process has used, with its threads: to the nanosecond."""
    folder = Path(f"/proc/{pid}/task")
    return sum(int((one / "schedstat").read_text().split()[0]) for one in folder.iterdir()) / 1e9


def private_of(pid: int) -> float:
    """Return the memory that a process has for itself, in MB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(map(int, re.findall(r"^Private_\w+: +(\d+)", text, re.MULTILINE))) / 1024


def show(title: str, rows: list[Row]) -> None:
    """Print a table; ratios are of the same round, and of those the median."""
    ours = rows[0]
    print(
        f"\n{title:26} {'q/s':>8} {'ratio':>6} {'p99 ms':>8} {'ratio':>6} {'CPU us':>7} {'lost':>5}"
    )
    for row in rows:
        fast = median(mine / other for mine, other in zip(ours.rates, row.rates, strict=True))
        late = median(mine / other for mine, other in zip(ours.worst, row.worst, strict=True))
        figures = f"{median(row.rates):8.0f} {fast:6.2f} {median(row.worst):8.2f} {late:6.2f}"
        print(f"{row.title:26} {figures} {median(row.costs):7.2f} {row.lost:5}")


def compare(rounds: int, top: Path) -> None:
    """Local names, and forwarded ones, beside others."""
    from integration.naming import box, host_file, resolver_pid

    local, forwarded = top / "local", top / "forwarded"
    local.write_text("\n".join(LOCAL) + "\n")
    forwarded.write_text("\n".join(FORWARDED) + "\n")
    with ExitStack() as stack:
        enter = stack.enter_context
        enter(host_file(f"nameserver {dns_servers.UPSTREAM}\n", top))
        enter(dns_servers.python("self", "bare", dns_servers.UPSTREAM, 53))
        made = enter(box("net1"))
        made.take("net1", "10.1.0.2", "web", "www")
        made.take("net1", "10.1.0.3", "db")
        found = [("minirt", made.pid, "127.0.0.11", 53, resolver_pid("net1"))]
        program = dns_servers.aardvark()
        if program:
            there = dns_servers.start_aardvark(program, made.pid, top / "aardvark")
            found.append(("aardvark-dns", made.pid, *there))
        if dns_servers.has_docker():
            found.append(("docker", *dns_servers.start_docker(top / "docker")))
        far = [Row(*one) for one in found]
        for number, kind in enumerate(("bare", "plain")):
            pid = enter(dns_servers.python(made.pid, kind, "127.0.0.1", 5300 + number))
            found.append((kind, made.pid, "127.0.0.1", 5300 + number, pid))
        rows = [Row(*one) for one in found]
        for _ in range(rounds):
            for row in rows:
                ask(row, local, 10_000 if row.title in ("plain", "docker") else 40_000)
            for row in far:
                ask(row, forwarded, 10_000)
        show("local names", rows)
        show("forwarded names", far)
        print()
        for row in far:
            print(f"memory of its own, {row.title}: {private_of(row.pid):.1f} MB")


def crowd(rounds: int, top: Path) -> None:
    """Compare a thousand names with one."""
    from integration.naming import box, resolver_pid

    one, many = top / "one", top / "many"
    one.write_text("n0 A\n")
    many.write_text("".join(f"n{number} A\n" for number in range(CROWD)))
    with box("few") as few, box("crowd") as large:
        few.take("few", "10.2.0.1", "n0")
        for number in range(CROWD):
            large.take("crowd", f"10.1.{number // 250}.{number % 250 + 1}", f"n{number}")
        rows = [
            Row("1 name", few.pid, "127.0.0.11", 53, resolver_pid("few")),
            Row("1,000 names", large.pid, "127.0.0.11", 53, resolver_pid("crowd")),
        ]
        for _ in range(rounds + 1):
            ask(rows[0], one, 20_000)
            ask(rows[1], many, 20_000)
        for row in rows:  # The first round has written all answers once.
            del row.rates[0], row.worst[0], row.costs[0]
        show("one network", rows)
        print(f"\nmemory of its own, 1,000 names: {private_of(rows[1].pid):.1f} MB")


def networks() -> None:
    """Many networks at once: each has a resolver, and all of them answer."""
    from integration.naming import QUERY, box, resolver_pid
    from minirt.kernel import namespaces
    from minirt.network import resolver_link

    with box("net0") as made, namespaces.network_of(made.pid) as netns, ExitStack() as stack:
        answered = 0
        for number in range(NETWORKS):
            name = f"net{number}"
            made.take(name, f"10.{number}.0.2", "web")
            pair = resolver_link.sockets(netns)
            link = stack.enter_context(resolver_link.connect(name))
            resolver_link.introduce(link, container="c" * 64, networks=[name], sockets=pair)
            with namespaces.inside(netns):
                asking = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            asking.connect((resolver_link.ADDRESS, 53))
            asking.settimeout(30)
            asking.send(QUERY)
            answered += asking.recv(512)[-4:] == bytes([10, number, 0, 2])
        watched = sum(watches(resolver_pid(f"net{number}")) for number in range(NETWORKS))
        memory = sum(private_of(resolver_pid(f"net{number}")) for number in range(NETWORKS))
    print(
        f"\n{NETWORKS} networks at once: {answered} answer, {watched} hear of changes by inotify, "
        f"{memory / NETWORKS:.1f} MB each"
    )


def watches(pid: int) -> bool:
    """Say whether a process has an inotify instance."""
    links = [one.readlink() for one in Path(f"/proc/{pid}/fd").iterdir()]
    return any("inotify" in str(one) for one in links)


def main() -> int:
    """Measure, in namespaces of its own."""
    top, quick = asked_inside("bench.dns", "How fast names are answered.", "3 rounds, not 15")
    if not shutil.which("dnsperf"):
        print("Names are not measured: apt install dnsperf")
        return 0
    rounds = 3 if quick else 15
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    os.environ |= {"MINIRT_RUNROOT": str(top / "run"), "MINIRT_ROOT": str(top / "root")}
    compare(rounds, top)
    crowd(rounds, top)
    networks()
    return 0


if __name__ == "__main__":
    sys.exit(main())
