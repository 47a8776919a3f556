"""What a cgroup uses: the files in which the kernel counts (cgroups(7))."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from minirt.kernel import cgroup_tree
from minirt.kernel.cgroup_files import fields, number, read

_UNLIMITED = 1 << 62  # version 1 writes "no limit" as the largest multiple of a page
Place = Callable[[str], "tuple[int, Path] | None"]  # controller -> version and folder


@dataclass(frozen=True, slots=True)
class Stats:
    """The counters; None where this machine doesn't count, or sets no limit."""

    cpu: int | None = None  # nanoseconds of processor time
    memory: int | None = None  # bytes, page cache included
    memory_cache: int | None = None  # bytes of it that the kernel could take back at once
    memory_peak: int | None = None  # bytes
    memory_limit: int | None = None  # bytes
    pids: int | None = None
    pids_limit: int | None = None
    read_bytes: int | None = None  # of block devices
    written_bytes: int | None = None


def stats(place: Place) -> Stats:
    """Read all counters of a group."""
    read_bytes, written_bytes = _io(place)
    pids = place("pids")
    return Stats(
        cpu=_cpu(place),
        **_memory(place("memory")),
        pids=number(pids[1] / "pids.current") if pids else None,
        pids_limit=number(pids[1] / "pids.max") if pids else None,
        read_bytes=read_bytes,
        written_bytes=written_bytes,
    )


def oom_kills(memory: tuple[int, Path] | None) -> int:
    """Return how many processes of the group, and below, died of want of memory."""
    if memory is None:
        return 0
    version, folder = memory
    if version == 2:  # counts what lies below, too
        return fields(folder / "memory.events").get("oom_kill", 0)
    killed = 0
    with suppress(OSError):  # A group was removed meanwhile.
        for group in cgroup_tree.walk(folder):
            words = cgroup_tree.read(group, "memory.oom_control").split()
            killed += int(dict(zip(words[::2], words[1::2], strict=False)).get("oom_kill", 0))
    return killed


def _cpu(place: Place) -> int | None:
    if version_1 := place("cpuacct"):
        return number(version_1[1] / "cpuacct.usage")
    if version_2 := place("cpu"):
        microseconds = fields(version_2[1] / "cpu.stat").get("usage_usec")
        return None if microseconds is None else microseconds * 1000
    return None


def _memory(memory: tuple[int, Path] | None) -> dict[str, int | None]:
    if memory is None:
        return {}
    version, folder = memory
    if version == 2:
        names = ("memory.current", "memory.peak", "memory.max")
        cache = fields(folder / "memory.stat").get("inactive_file")
    else:
        names = ("memory.usage_in_bytes", "memory.max_usage_in_bytes", "memory.limit_in_bytes")
        cache = fields(folder / "memory.stat").get("total_inactive_file")
    used, peak, limit = (number(folder / name) for name in names)
    return {
        "memory": used,
        "memory_cache": cache,
        "memory_peak": peak,
        "memory_limit": None if limit is None or limit >= _UNLIMITED else limit,
    }


def _io(place: Place) -> tuple[int | None, int | None]:
    if version_1 := place("blkio"):
        file = version_1[1] / "blkio.throttle.io_service_bytes_recursive"
        lines = [line.split() for line in read(file).splitlines()]
        done = [(words[1], int(words[2])) for words in lines if len(words) == 3]
        return (
            sum(count for what, count in done if what == "Read"),
            sum(count for what, count in done if what == "Write"),
        )
    if version_2 := place("io"):
        words = read(version_2[1] / "io.stat").split()
        return tuple(  # type: ignore[return-value]
            sum(int(word[len(key) :]) for word in words if word.startswith(key))
            for key in ("rbytes=", "wbytes=")
        )
    return None, None
