"""Measure how fast names are answered: `python bench/dns.py [ROUNDS]`, as root.

dnsperf(1) asks inside a container's network namespace, each server in turn, several rounds of
that: our resolver, a plain dnslib server, a loop in Python that only sends something back, and
aardvark-dns where it is installed or named by AARDVARK. We are asked as containers ask, through
the NAT of port 53; the others without. What a busy machine does to the figures it does to all of
them, so the ratios are what counts. Everything happens in namespaces of its own.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[1]))

from bench import dns_servers  # noqa: E402 (the path comes first)

if TYPE_CHECKING:
    from integration.naming import Box

SANDBOX = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
INSIDE = "MINIRT_BENCH_SANDBOX"
TYPES = ("web A", "www A", "db A", "web AAAA")
FORWARDED = ("example.org A", "example.net A", "a.example A", "b.example AAAA")
CROWD, NETWORKS = 1000, 150
QUERY = b"\x12\x34\1\0\0\1\0\0\0\0\0\0\3web\0\0\1\0\1"


@dataclass(slots=True)
class Row:
    """One server, asked one file of questions, round after round."""

    title: str
    address: str
    port: int
    pid: int
    rates: list[float] = field(default_factory=list)  # per second
    worst: list[float] = field(default_factory=list)  # milliseconds: 99 of 100 are faster
    costs: list[float] = field(default_factory=list)  # microseconds of CPU per query
    lost: int = 0


def ask(made: Box, row: Row, questions: Path, number: int) -> None:
    """Send some ``number`` questions as fast as they are answered."""
    times = max(1, number // len(questions.read_text().splitlines()))
    words: tuple[object, ...] = ("dnsperf", "-d", questions, "-n", times, "-c", 4, "-q", 50)
    words += ("-t", 10, "-O", "latency-histogram", "-s", row.address, "-p", row.port)
    before = cpu_of(row.pid)
    told = made.run(*words, seconds=120).stdout
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
    local.write_text("\n".join(TYPES) + "\n")
    forwarded.write_text("\n".join(FORWARDED) + "\n")
    with ExitStack() as stack:
        enter = stack.enter_context
        enter(host_file(f"nameserver {dns_servers.UPSTREAM}\n", top))
        enter(dns_servers.python("self", "bare", dns_servers.UPSTREAM, 53))
        made = enter(box("net1"))
        enter(dns_servers.python(made.pid, "bare", dns_servers.UPSTREAM, 53))
        made.take("net1", "10.1.0.2", "web", "www")
        made.take("net1", "10.1.0.3", "db")
        ours = ("minirt", "127.0.0.11", 53, resolver_pid("net1"))
        rows, far = [Row(*ours)], [Row(*ours)]
        program = dns_servers.aardvark()
        if program:
            other = dns_servers.start_aardvark(program, made.pid, top / "aardvark", 5310)
            rows.append(Row("aardvark-dns", "127.0.0.1", 5310, other))
            far.append(Row("aardvark-dns", "127.0.0.1", 5310, other))
        for number, kind in enumerate(("bare", "plain")):
            pid = enter(dns_servers.python(made.pid, kind, "127.0.0.1", 5300 + number))
            rows.append(Row(kind, "127.0.0.1", 5300 + number, pid))
        for _ in range(rounds):
            for row in rows:
                ask(made, row, local, 10_000 if row.title == "plain" else 40_000)
            for row in far:
                ask(made, row, forwarded, 10_000)
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
            Row("1 name", "127.0.0.11", 53, resolver_pid("few")),
            Row("1,000 names", "127.0.0.11", 53, resolver_pid("crowd")),
        ]
        for _ in range(rounds + 1):
            ask(few, rows[0], one, 20_000)
            ask(large, rows[1], many, 20_000)
        for row in rows:  # The first round has written all answers once.
            del row.rates[0], row.worst[0], row.costs[0]
        show("one network", rows)
        print(f"\nmemory of its own, 1,000 names: {private_of(rows[1].pid):.1f} MB")


def networks() -> None:
    """Many networks at once: each has a resolver, and all of them answer."""
    from integration.naming import box, resolver_pid
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
            asking.connect(socket.socket(fileno=pair[0]).getsockname())
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


@contextmanager
def ground() -> Iterator[Path]:
    """Make room for files, and for descriptors."""
    top = Path(tempfile.mkdtemp())
    os.environ |= {"MINIRT_RUNROOT": str(top / "run"), "MINIRT_ROOT": str(top / "root")}
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    yield top
    shutil.rmtree(top)


def main(words: list[str]) -> None:
    """Measure, inside."""
    if not os.environ.get(INSIDE):
        os.environ[INSIDE] = "1"
        os.execvp("unshare", [*SANDBOX, sys.executable, str(HERE), *words])
    rounds = int(words[0]) if words else 3
    os.system("ip link set lo up")
    with ground() as top:
        compare(rounds, top)
        crowd(rounds, top)
        networks()


if __name__ == "__main__":
    main(sys.argv[1:])
