"""``minirt-oci events`` and ``stats``: what a container uses, as runc's callers read it."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from minirt.errors import Conflict, InvalidRequest, in_quotes
from minirt.kernel.cgroup_files import fields, number, read
from minirt.kernel.cgroups import Cgroup
from minirt.oci import groups, lifecycle, records
from minirt.oci.words import Asked

_TICK = 10_000_000  # nanoseconds of a clock tick (USER_HZ), in which version 1 counts


def run(asked: Asked) -> int:
    """Print the counters once, or every few seconds until the container has stopped."""
    interval = seconds(asked.text("interval", "5s"))
    record = records.load(asked.id)
    group = groups.of(record.cgroup)
    if lifecycle.status(record) == "stopped":
        raise Conflict(f"container with id {asked.id} is not running")
    if group is None:
        raise Conflict(f"cannot count what {asked.id} uses", "it has no cgroup")
    if asked.flag("stats") or asked.verb == "stats":
        _print("stats", asked.id, measured(group))
        return 0
    kills = group.oom_kills()
    while lifecycle.status(record) != "stopped":
        _print("stats", asked.id, measured(group))
        deadline = time.monotonic() + interval
        while time.monotonic() < deadline and lifecycle.status(record) != "stopped":
            time.sleep(min(0.1, interval))
            kills = _tell_kills(asked.id, group, kills)
    _tell_kills(asked.id, group, kills)  # The last one may have been that of init.
    return 0


def _tell_kills(identifier: str, group: Cgroup, known: int) -> int:
    """Say that processes were killed for their memory, if more were; return how many."""
    kills = group.oom_kills()
    if kills > known:
        _print("oom", identifier, None)
    return kills


def seconds(text: str) -> float:
    """Read a duration as Go writes it: 500ms, 5s, 1m. Raises InvalidRequest."""
    for unit, factor in (("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)):
        if text.endswith(unit):
            try:
                found = float(text.removesuffix(unit)) * factor
            except ValueError:
                break
            if found > 0:
                return found
    raise InvalidRequest(f"invalid interval {in_quotes(text)}", "it is a duration above 0, like 5s")


def measured(group: Cgroup) -> dict[str, Any]:
    """Return the counters in the form of runc's "stats" event."""
    counted = group.stats()
    memory = group.folder("memory")
    limit = counted.memory_limit
    return {
        "cpu": {"usage": _processor_time(group), "throttling": _throttling(group)},
        "memory": {
            "cache": counted.memory_cache or 0,
            "usage": {
                "limit": (1 << 64) - 1 if limit is None else limit,
                "usage": counted.memory or 0,
                "max": counted.memory_peak or 0,
                "failcnt": 0,
            },
            "raw": fields(memory.path / "memory.stat") if memory else {},
        },
        "pids": {"current": counted.pids or 0, "limit": counted.pids_limit or 0},
        "blkio": {"ioServiceBytesRecursive": _block_io(group)},
        "hugetlb": {},
        "network_interfaces": None,
    }


def _print(kind: str, identifier: str, data: Any) -> None:
    event: dict[str, Any] = {"type": kind, "id": identifier}
    if data is not None:
        event["data"] = data
    sys.stdout.write(json.dumps(event, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def _processor_time(group: Cgroup) -> dict[str, Any]:
    """Return nanoseconds."""
    folder = _folder(group, "cpuacct")
    if folder:
        ticks = fields(folder / "cpuacct.stat")
        each = [int(word) for word in read(folder / "cpuacct.usage_percpu").split()]
        return {
            "total": number(folder / "cpuacct.usage") or 0,
            "percpu": each,
            "kernel": ticks.get("system", 0) * _TICK,
            "user": ticks.get("user", 0) * _TICK,
        }
    counted = fields(folder / "cpu.stat") if (folder := _folder(group, "cpu")) else {}
    names = {"total": "usage_usec", "kernel": "system_usec", "user": "user_usec"}
    return {name: counted.get(key, 0) * 1000 for name, key in names.items()}


def _throttling(group: Cgroup) -> dict[str, int]:
    folder = _folder(group, "cpu")
    counted = fields(folder / "cpu.stat") if folder else {}
    waited = counted.get("throttled_time", counted.get("throttled_usec", 0) * 1000)
    return {
        "periods": counted.get("nr_periods", 0),
        "throttledPeriods": counted.get("nr_throttled", 0),
        "throttledTime": waited,
    }


def _block_io(group: Cgroup) -> list[dict[str, Any]]:
    """Return bytes by device and direction."""
    found = []
    if folder := _folder(group, "blkio"):
        for line in read(folder / "blkio.throttle.io_service_bytes_recursive").splitlines():
            device, *rest = line.split()
            if len(rest) == 2:
                found.append(_entry(device, rest[0], int(rest[1])))
    elif folder := _folder(group, "io"):
        for line in read(folder / "io.stat").splitlines():
            device, *rest = line.split()
            counts = dict(word.split("=", 1) for word in rest if "=" in word)
            for key, operation in (("rbytes", "Read"), ("wbytes", "Write")):
                found.append(_entry(device, operation, int(counts.get(key, 0))))
    return found


def _entry(device: str, operation: str, value: int) -> dict[str, Any]:
    major, _, minor = device.partition(":")
    return {"major": int(major), "minor": int(minor), "op": operation, "value": value}


def _folder(group: Cgroup, controller: str) -> Path | None:
    place = group.folder(controller)
    return place.path if place else None
