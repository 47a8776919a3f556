"""Attacks on one Ethernet, each tried twice: with the bridge's filter and without it.

The attempts without the filter prove that the frames are well formed and the counters count: an
attack that fails there fails for another reason than the filter.
"""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from integration import forger
from integration.sandbox import in_netns, shell
from integration.wires import Machine
from minirt.network.identity import link_local, mac_of

FORGER = (sys.executable, "-I", Path(forger.__file__))
FOREIGN = "02:66:6f:72:67:65"

_table_names = (f"t{number}" for number in itertools.count())


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attack: ``run`` makes it and returns its effect, which depends on the filter."""

    name: str
    run: Callable[[], object]
    filtered: object
    unfiltered: object


def disable_filter() -> None:
    """Let the bridge forward all frames."""
    shell("nft", "flush", "chain", "bridge", "minirt", "prerouting")


def try_with_and_without_filter(
    attempts: Sequence[Attempt], disable: Callable[[], None] = disable_filter
) -> None:
    """Make all attempts, disable the filter, and make all of them again in the same network.

    Each attempt first restores what an earlier one may have changed. Report all wrong effects.
    """
    failures = []
    for state in ("filtered", "unfiltered"):
        if state == "unfiltered":
            disable()
        for one in attempts:
            expected = getattr(one, state)
            try:
                effect = one.run()
            except AssertionError as error:
                failures.append(f"{one.name}, {state}: {error}")
                continue
            if effect != expected:
                failures.append(f"{one.name}, {state}: {effect!r}, not {expected!r}")
    assert attempts and not failures, "\n".join(failures)


def send(pid: int, *frames: bytes, interface: str = "eth0") -> None:
    """Send frames from a machine."""
    in_netns(pid, *FORGER, interface, *(frame.hex() for frame in frames))


def mac(of: Machine) -> str:
    """Return the MAC of a machine that was attached without a chosen one."""
    return mac_of(of.lease.address.ip)


def own6(of: Machine) -> str:
    """Return the IPv6 address that minirt assigned to a machine in 2001:db8:1::/64."""
    return f"2001:db8:1::{of.address.rpartition('.')[2]}"


def local(of: Machine) -> str:
    """Return the link-local address of a machine."""
    return str(link_local(mac(of)))


def neighbour(of: int, address: str) -> str:
    """Return the MAC under which a machine knows an address; "" if it knows none."""
    return _mac_in(in_netns(of, "ip", "neigh", "show", address, "dev", "eth0").stdout)


def host_neighbour(address: str, link: str) -> str:
    """Return the MAC under which the host knows an address; "" if it knows none."""
    return _mac_in(shell("ip", "neigh", "show", address, "dev", link).stdout)


def _mac_in(shown: str) -> str:
    words = shown.split()
    return words[words.index("lladdr") + 1] if "lladdr" in words else ""


def resolve(of: int, address: str) -> str:
    """Let a machine forget the MAC of an address and ask for it; return the MAC that it learns."""
    in_netns(of, "ip", "neigh", "del", address, "dev", "eth0", code=None)
    in_netns(of, "ping", "-c1", "-W2", "-I", "eth0", address)
    return neighbour(of, address)


def count_packets(at: int, family: str, rule: str) -> Callable[[], int]:
    """Count what arrives at a machine and matches a rule of nft.

    The function that is returned counts from its last call, or from the start.
    """
    name, hook = next(_table_names), "type filter hook prerouting priority -400"
    if family == "netdev":
        hook = "type filter hook ingress device eth0 priority 0"
    table = f"add table {family} {name}; add chain {family} {name} c {{ {hook}; }}"
    in_netns(at, "nft", f"{table}; add rule {family} {name} c {rule} counter")
    before = 0

    def count() -> int:
        nonlocal before
        listed = in_netns(at, "nft", "list", "table", family, name).stdout
        (found,) = re.findall(r"packets (\d+)", listed)
        since, before = int(found) - before, int(found)
        return since

    return count


def count_frames(sender: Machine, *, at: Machine) -> Callable[[], int]:
    """Count all frames of a machine that arrive at another one, whatever they contain."""
    return count_packets(at.pid, "netdev", f"ether saddr {mac(sender)}")
