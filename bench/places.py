"""Network namespaces, containers in them, and what passes between them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.engines import REPOSITORY, start_minirt


@dataclass(frozen=True, slots=True)
class Place:
    """A network namespace that a process keeps."""

    pid: int

    def words(self, *words: object) -> list[str]:
        """Return the words that run a program there."""
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", *map(str, words)]

    def run(self, *words: object) -> str:
        """Run a program there."""
        return said(*self.words(*words))

    def ip(self, line: str) -> None:
        """Run ip(8) there."""
        self.run("ip", *line.split())


def start(folder: Path) -> Callable[[str], str]:
    """Return a function that calls minirt, which has an image and a network."""
    program = start_minirt(folder)
    tar = folder / "busybox.tar"
    said(REPOSITORY / "rootfs-tools" / "busybox", tar)
    said("ip", "link", "set", "lo", "up")
    said(*program, "image", "import", tar, "busybox")
    said(*program, "network", "create", "mynet")
    return lambda line: said(*program, *line.split())


def said(*words: object) -> str:
    """Run a program and return what it says."""
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"bench: {' '.join(map(str, words))}: {done.stdout}{done.stderr}")
    return done.stdout.strip()


def new_place() -> Place:
    """Make a network namespace; its keeper dies with this program."""
    words = ["unshare", "--net", "sh", "-c", "ip link set lo up; echo up; exec sleep infinity"]
    keeper = subprocess.Popen(words, stdout=subprocess.PIPE)
    assert keeper.stdout
    keeper.stdout.readline()
    return Place(keeper.pid)


def container(minirt: Callable[[str], str], name: str, options: str = "") -> Place:
    """Run a container that sleeps."""
    minirt(f"run -d --name {name} --network mynet {options} busybox sleep 99999")
    return Place(int(minirt(f"inspect -f {{{{.State.Pid}}}} {name}")))


def address_of(place: Place) -> str:
    """Return the IPv4 address of the machine there."""
    return place.run("ip", "-br", "-4", "addr", "show", "eth0").split()[2].partition("/")[0]


@dataclass(frozen=True, slots=True)
class Transfer:
    """What iperf3(1) has found of a stream of TCP."""

    rate: float  # Gbit/s, as they arrive
    effort: float  # milliseconds of CPU time for a gigabyte, of both ends with all in between


def transfer(client: Place, server: Place, address: str, seconds: int) -> Transfer:
    """Send from a client to a server as much as goes."""
    words = server.words("iperf3", "--server", "--one-off", "--forceflush")
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as listening:
        assert listening.stdout
        while "listening" not in listening.stdout.readline():
            pass
        told = client.run("iperf3", "--json", "--client", address, "--time", seconds)
        listening.communicate()
    end = json.loads(told)["end"]
    received, busy = end["sum_received"], end["cpu_utilization_percent"]
    share = (busy["host_total"] + busy["remote_total"]) / 100
    spent = 1e3 * share * received["seconds"] / (received["bytes"] / 1e9)
    return Transfer(received["bits_per_second"] / 1e9, spent)


def row(title: str, found: list[float], form: str = "{:.1f}") -> None:
    """Print one line: what was found, and how many times the first that is."""
    first, *others = (form.format(one) for one in found)
    ratios = [f"{one / found[0]:.2f}×" for one in found[1:]]
    cells = [f"{other} ({ratio})" for other, ratio in zip(others, ratios, strict=True)]
    print(f"{title:<34}{first:>12}" + "".join(f"{cell:>18}" for cell in cells), flush=True)
