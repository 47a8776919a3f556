"""What a network costs: throughput beside a hand-made one, a crowd of 500, 5,000 ports.

    python -m bench.network [--quick]

Two worlds of the same shape, each in namespaces of its own: two containers on a bridge, and a
machine outside, one wire away. One is made by minirt, the other by ip(8) and one rule of nft(8)
that masquerades. iperf3(1) runs in both in turn; medians are told, in brackets how many times the
first column's they are.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass

from bench import crowd
from bench.engines import asked_inside
from bench.places import Place, Transfer, address_of, container, new_place, row, start, transfer

HOST, OUTSIDE = "192.0.2.1", "192.0.2.2"


@dataclass(frozen=True, slots=True)
class World:
    """A network with two machines on it, and one outside."""

    one: Place
    two: Place
    address: str  # of the second
    outside: Place


def main() -> int:
    """Measure, in namespaces of its own."""
    top, quick = asked_inside("bench.network", "What a network costs.", "few and short rounds")
    if not shutil.which("iperf3"):
        print("Throughput is not measured: apt install iperf3")
        return 0
    minirt = start(top)
    rounds, seconds = (3, 1) if quick else (9, 3)
    ours = made_by_minirt(minirt)
    compare(ours, made_by_hand(), rounds, seconds)
    crowd.ports(minirt, ours.outside, HOST, 500 if quick else 2000)
    crowd.grow(minirt, rounds, seconds, quick=quick)
    return 0


def connect_outside(host: Place) -> Place:
    """Give a host a way out: a wire to another machine."""
    outside = new_place()
    host.ip(f"link add uplink type veth peer name eth0 netns {outside.pid}")
    host.ip(f"addr add {HOST}/24 dev uplink")
    host.ip("link set uplink up")
    host.ip(f"route add default via {OUTSIDE}")
    outside.ip(f"addr add {OUTSIDE}/24 dev eth0")
    outside.ip("link set eth0 up")
    return outside


def made_by_minirt(minirt: Callable[[str], str]) -> World:
    """Return the world that minirt makes; its host is this namespace."""
    outside = connect_outside(Place(os.getpid()))
    one, two = (container(minirt, name) for name in ("one", "two"))
    return World(one, two, address_of(two), outside)


def made_by_hand() -> World:
    """Return the same, as short as it can be."""
    host, one, two = (new_place() for _ in range(3))
    outside = connect_outside(host)
    host.ip("link add br0 up type bridge")
    host.ip("addr add 10.1.0.1/16 dev br0")
    host.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    for number, place in enumerate((one, two), 2):
        host.ip(f"link add veth{number} up master br0 type veth peer name eth0 netns {place.pid}")
        place.ip(f"addr add 10.1.0.{number}/16 dev eth0")
        place.ip("link set eth0 up")
        place.ip("route add default via 10.1.0.1")
    rule = "ip saddr 10.1.0.0/16 oifname != br0 masquerade"
    host.run("nft", "add table hand")
    host.run("nft", "add chain hand out { type nat hook postrouting priority srcnat; }")
    host.run("nft", f"add rule hand out {rule}")
    return World(one, two, "10.1.0.3", outside)


def compare(minirt: World, hand: World, rounds: int, seconds: int) -> None:
    """Print the throughput of both worlds, measured in turn, and the effort.

    The effort hardly depends on what else the machine does, as throughput does.
    """
    for title in ("container to container", "container to outside"):
        found: list[list[Transfer]] = [[], []]
        for number in range(2 * rounds):
            which = (number + number // 2) % 2  # ABBA: what drifts meets both alike
            world = (hand, minirt)[which]
            inside = title.endswith("container")
            server, address = (world.two, world.address) if inside else (world.outside, OUTSIDE)
            found[which].append(transfer(world.one, server, address, seconds))
        print(f"{title:<34}{'by hand':>12}{'minirt':>18}")
        row("  Gbit/s", [statistics.median(each.rate for each in one) for one in found])
        efforts = [statistics.median(each.effort for each in one) for one in found]
        row("  CPU time for a gigabyte, ms", efforts, "{:.0f}")


if __name__ == "__main__":
    sys.exit(main())
