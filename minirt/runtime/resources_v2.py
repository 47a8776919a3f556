"""linux.resources of config.json in the words of cgroup version 2.

Source: OCI runtime-spec 1.2, config-linux.md, "Control groups"; the files are described in
Documentation/admin-guide/cgroup-v2.rst. The document was made for version 1: weights have
another scale now, swap is no longer counted together with memory.
"""

from __future__ import annotations

import math

from minirt.runtime.document import Place
from minirt.runtime.resource_settings import Setting, or_max, setting
from minirt.runtime.resources_v1 import LOW, device, page_size, refuse_leaves

_THROTTLES = {
    "throttleReadBpsDevice": "rbps",
    "throttleWriteBpsDevice": "wbps",
    "throttleReadIOPSDevice": "riops",
    "throttleWriteIOPSDevice": "wiops",
}


def memory(place: Place) -> list[Setting]:
    """Read resources.memory."""
    for key in ("swappiness", "disableOOMKiller"):
        if place.get(key).value:
            place.get(key).refuse("needs cgroup version 1")
    found = []
    limit, total = (place.get(key).number(0, LOW) for key in ("limit", "swap"))
    if limit:
        found.append(setting("a memory limit", "memory.max", or_max(limit)))
    if total > 0:
        if limit <= 0 or total < limit:
            place.get("swap").refuse("is memory and swap together, but not above memory.limit")
        found.append(setting("a swap limit", "memory.swap.max", total - limit, optional=True))
    elif total < 0 or limit < 0:
        found.append(setting("a swap limit", "memory.swap.max", "max", optional=True))
    if reservation := place.get("reservation").number(0, LOW):
        found.append(setting("a memory reservation", "memory.low", or_max(reservation)))
    return found


def cpu(place: Place) -> list[Setting]:
    """Read resources.cpu, but for the cpuset."""
    for key in ("realtimeRuntime", "realtimePeriod"):
        if place.get(key).value:
            place.get(key).refuse("needs cgroup version 1")
    found = []
    if shares := place.get("shares").number(0):
        found.append(setting("cpu shares", "cpu.weight", weight_of_shares(shares)))
    quota, period = place.get("quota").number(0, LOW), place.get("period").number(0)
    if quota or period:
        words = [or_max(quota or -1), str(period)] if period else [or_max(quota)]
        found.append(setting("a cpu quota", "cpu.max", " ".join(words)))
    if place.has("burst"):
        burst = place.get("burst").number()
        found.append(setting("a cpu burst", "cpu.max.burst", burst, optional=not burst))
    if place.has("idle"):
        idle = place.get("idle").number(0, 0, 1)
        found.append(setting("an idle cpu", "cpu.idle", idle, optional=not idle))
    return found


def weight_of_shares(shares: int) -> int:
    """Map 2…262144 to 1…10000 so that the default, 1024, becomes the default, 100.

    The curve is that of runc and crun: a weight must mean the same under each of them.
    """
    power = math.log2(min(max(shares, 2), 1 << 18))
    return math.ceil(10 ** ((power * power + 125 * power) / 612 - 7 / 34))


def block_io(place: Place) -> list[Setting]:
    """Read resources.blockIO. io.weight is of the iocost controller, on another scale."""
    found = []
    refuse_leaves(place)
    if weight := place.get("weight").number(0, 0, 1000):
        scaled = str(1 + (weight - 10) * 9999 // 990)
        files = (("io.bfq.weight", str(weight)), ("io.weight", scaled))
        found.append(Setting("an I/O weight", files))
    for one in place.get("weightDevice").items():
        weight = one.get("weight").number(0, 0, 1000)
        found.append(setting("an I/O weight", "io.bfq.weight", f"{device(one)} {weight}"))
    for key, word in _THROTTLES.items():
        for one in place.get(key).items():
            line = f"{device(one)} {word}={one.get('rate').number()}"
            found.append(setting("an I/O limit", "io.max", line))
    return found


def hugepages(place: Place) -> list[Setting]:
    """Read resources.hugepageLimits."""
    return [
        setting("a limit of huge pages", f"hugetlb.{page_size(one)}.{file}", limit, optional=last)
        for one in place.items()
        for limit in [one.get("limit").number()]
        for file, last in (("max", False), ("rsvd.max", True))
    ]
