"""The rows of ``stats``: what containers use, counted by the kernel (``kernel.cgroup_stats``)."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from minirt.container import lifecycle
from minirt.container.amounts import binary, decimal
from minirt.container.lifecycle import SHORT
from minirt.container.record import Record
from minirt.container.templates.values import Fields
from minirt.kernel import bounded_read
from minirt.kernel.cgroup_stats import Stats

UNKNOWN = "--"
LONGEST_LIST = 1 << 20  # bytes of a list of network interfaces: more than 8,000 of them
HEADERS = {
    "Container": "CONTAINER",
    "ID": "CONTAINER ID",
    "Name": "NAME",
    "CPUPerc": "CPU %",
    "MemUsage": "MEM USAGE / LIMIT",
    "MemPerc": "MEM %",
    "NetIO": "NET I/O",
    "BlockIO": "BLOCK I/O",
    "PIDs": "PIDS",
}
COLUMNS = ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs")

ENDED = {  # what a container uses that does not run
    "CPUPerc": "0.00%",
    "MemUsage": "0B / 0B",
    "MemPerc": "0.00%",
    "NetIO": "0B / 0B",
    "BlockIO": "0B / 0B",
    "PIDs": "0",
}


class Row(Fields):
    """A container in the list; "--" stands for what this machine doesn't count."""

    go_type = "*container.statsContext"


@dataclass(frozen=True, slots=True)
class Sample:
    """The counters of a container at one moment."""

    at: float  # seconds, of the monotonic clock
    stats: Stats
    network: tuple[int, int] | None  # bytes received and sent, but for the loopback


def sample(one: Record) -> Sample | None:
    """Count what a container uses; None if it doesn't run."""
    init = lifecycle.init_of(one)
    if init is None:
        return None
    stats = lifecycle.group_of(one).stats()
    return Sample(time.monotonic(), stats, _network(one, init[0]))


def row(one: Record, before: Sample | None, now: Sample | None, *, cut: bool = True) -> Row:
    """Return the fields of a container, from two samples; as with Docker zeros if it has ended."""
    short = one.id[:SHORT] if cut else one.id
    if now is None:
        return Row(Container=one.name, ID=short, Name=one.name, **ENDED)
    stats = now.stats
    used, limit = _memory(stats)
    return Row(
        Container=one.name,
        ID=short,
        Name=one.name,
        CPUPerc=_cpu(before, now),
        MemUsage=UNKNOWN if used is None else f"{binary(used)} / {binary(limit)}",
        MemPerc=UNKNOWN if used is None else f"{used / limit:.2%}",
        NetIO=_pair(now.network),
        BlockIO=_pair((stats.read_bytes, stats.written_bytes)),
        PIDs=UNKNOWN if stats.pids is None else str(stats.pids),
    )


def missing(rows: Sequence[Row]) -> list[str]:
    """Return the cgroup controllers without which the rows of living containers have gaps."""
    needed = {"CPUPerc": "cpu", "MemUsage": "memory", "BlockIO": "io", "PIDs": "pids"}
    return [name for key, name in needed.items() if rows and all(r[key] == UNKNOWN for r in rows)]


def _cpu(before: Sample | None, now: Sample | None) -> str:
    """Return the share of one processor that was used between two samples."""
    if before is None or now is None or before.stats.cpu is None or now.stats.cpu is None:
        return UNKNOWN
    used = (now.stats.cpu - before.stats.cpu) / 1e9
    return f"{used / max(now.at - before.at, 1e-3):.2%}"


def _memory(stats: Stats) -> tuple[int | None, int]:
    """Return what is used beyond the page cache that could go, and the limit: all there is."""
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = min(stats.memory_limit or whole, whole)
    if stats.memory is None:
        return None, limit
    return max(stats.memory - (stats.memory_cache or 0), 0), limit


def _network(one: Record, pid: int) -> tuple[int, int] | None:
    if one.host.network_mode == "host":
        return 0, 0  # As Docker says: what the host sends is not the container's.
    try:
        table = bounded_read.beginning(f"/proc/{pid}/net/dev", LONGEST_LIST)
    except OSError:
        return None
    # With CAP_NET_ADMIN a container may have made any number of links.
    return received_and_sent(table) if len(table) < LONGEST_LIST else None


def received_and_sent(table: bytes) -> tuple[int, int]:
    """Add up the bytes of all links but lo in /proc/PID/net/dev (proc_pid_net(5)).

    A container with NET_ADMIN names its links: by any bytes but blanks, "/" and ":".
    """
    lines = [line.split(b":") for line in table.split(b"\n")[2:] if line]
    counters = [words.split() for name, words in lines if name.strip() != b"lo"]
    return sum(int(one[0]) for one in counters), sum(int(one[8]) for one in counters)


def _pair(counted: tuple[int | None, int | None] | None) -> str:
    if counted is None or None in counted:
        return UNKNOWN
    return " / ".join(_rounded(amount or 0) for amount in counted)


def _rounded(amount: int) -> str:
    """Tell bytes with three digits: ``1.23kB``."""
    step = 10 ** max(len(str(amount)) - 3, 0)
    return decimal(round(amount / step) * step)
