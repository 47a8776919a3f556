"""What many cost: 5,000 published ports, and the 500th container of a network."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from bench.places import Place, address_of, container, row, said, transfer

CROWD, QUICK_CROWD = (1, 100, 500), (1, 10, 50)
PORTS = 5000
STARTS, QUICK_STARTS = 25, 3
SETTLE = 3.0  # seconds; the kernel sweeps dead namespaces meanwhile

# Programs that run in a container's network namespace.
SERVE = """
import socket
server = socket.create_server(("", 80), backlog=4096)
print("up", flush=True)
while True:
    server.accept()[0].close()
"""
CONNECT = """
import socket, statistics, sys, time
times = []
for _ in range(int(sys.argv[3])):
    begin = time.perf_counter()
    with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as one:
        one.recv(1)
    times.append(time.perf_counter() - begin)
print(statistics.median(times))
"""
LOOK_UP = """
import socket, statistics, sys, time
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
    one.settimeout(5)
    one.connect(("127.0.0.11", 53))
    name = sys.argv[1].encode()
    times = []
    for number in range(int(sys.argv[2])):
        begin = time.perf_counter()
        head = number.to_bytes(2, "big") + bytes.fromhex("01000001000000000000")
        one.send(head + bytes([len(name)]) + name + bytes.fromhex("0000010001"))
        assert one.recv(512)[7] == 1, "one answer"
        times.append(time.perf_counter() - begin)
print(statistics.median(times))
"""


def ports(minirt: Callable[[str], str], outside: Place, host: str, count: int) -> None:
    """Print what a connection costs with one published port, and with 5,000 more."""
    web = container(minirt, "web", "-p 8080:80")
    ask = (sys.executable, "-c", CONNECT, host, 8080, count)
    with subprocess.Popen(web.words(sys.executable, "-c", SERVE), stdout=subprocess.PIPE) as server:
        assert server.stdout
        server.stdout.readline()
        found = [[float(outside.run(*ask)) for _ in range(3)]]
        begin = time.perf_counter()
        container(minirt, "many", f"-p 20000-{19999 + PORTS}:20000-{19999 + PORTS}")
        took = time.perf_counter() - begin
        found.append([float(outside.run(*ask)) for _ in range(3)])
        server.kill()
    elements = said("nft", "list", "map", "inet", "minirt", "pub4_any").count("tcp . ")
    print(f"\n{'published ports':<34}{1:>12}{1 + PORTS:>18}")
    row("a connection from outside, µs", [statistics.median(one) * 1e6 for one in found], "{:.0f}")
    print(f"{'elements of the IPv4 map':<34}{1:>12}{elements:>18}")
    print(f"{'run -p with 5,000 ports, s':<34}{'':>12}{took:>18.2f}")
    minirt("rm -f web many")


def grow(minirt: Callable[[str], str], rounds: int, seconds: int, *, quick: bool) -> None:
    """Print what the 1st, the 100th and the 500th container of a network costs and gets."""
    marks, starts_each = (QUICK_CROWD, QUICK_STARTS) if quick else (CROWD, STARTS)
    peer = container(minirt, "peer")
    address = address_of(peer)
    starts, lookups, rates = [], [], []
    next_one = 1
    for number in marks:
        while next_one < number:
            container(minirt, f"c{next_one}")
            next_one += 1
        time.sleep(SETTLE)
        last, took = timed_starts(minirt, f"c{number}", starts_each)
        next_one += 1
        starts.append(took * 1e3)
        words = (sys.executable, "-c", LOOK_UP, f"c{number}", 2000)
        lookups.append(statistics.median(float(last.run(*words)) for _ in range(rounds)) * 1e6)
        found = [transfer(last, peer, address, seconds).rate for _ in range(rounds)]
        rates.append(statistics.median(found))
    first, *others = marks
    heads = "".join(f"{number:>18}" for number in others)
    print(f"\n{'the container of a network, number':<34}{first:>12}{heads}")
    row("run -d, ms", starts)
    row("a local name looked up, µs", lookups, "{:.0f}")
    row("to another container, Gbit/s", rates)


def timed_starts(minirt: Callable[[str], str], name: str, count: int) -> tuple[Place, float]:
    """Start a container again and again; return it, and the median time in seconds."""
    times = []
    for number in range(count):
        if number:
            minirt(f"rm -f {name}")
            time.sleep(SETTLE / 10)  # The kernel sweeps the namespace.
        begin = time.perf_counter()
        minirt(f"run -d --name {name} --network mynet busybox sleep 99999")
        times.append(time.perf_counter() - begin)
    pid = int(minirt(f"inspect -f {{{{.State.Pid}}}} {name}"))
    return Place(pid), statistics.median(times)
