"""linux.resources of config.json in the words of cgroup version 1.

Source: OCI runtime-spec 1.2, config-linux.md, "Control groups"; the files are described in
Documentation/admin-guide/cgroup-v1. A zero means "not asked", as Go's encoder writes it, except
where zero or false is a value of its own: pids, swappiness, disableOOMKiller, and of cpu burst,
idle and realtimeRuntime. A kernel without such a file has that value anyway.
"""

from __future__ import annotations

from minirt.errors import in_quotes
from minirt.runtime.document import Place
from minirt.runtime.resource_settings import Setting, or_max, setting

LOW = -1  # of signed numbers: "no limit"
REALTIME = "cpu.rt_runtime_us"
ZERO_COUNTS = ("burst", "idle", "realtimeRuntime")  # of cpu
_THROTTLES = {
    "throttleReadBpsDevice": "blkio.throttle.read_bps_device",
    "throttleWriteBpsDevice": "blkio.throttle.write_bps_device",
    "throttleReadIOPSDevice": "blkio.throttle.read_iops_device",
    "throttleWriteIOPSDevice": "blkio.throttle.write_iops_device",
}


def memory(place: Place) -> list[Setting]:
    """Read resources.memory; ``swap`` is the sum of memory and swap, as in version 1's file."""
    swap = "a swap limit", "memory.memsw.limit_in_bytes"
    found = []
    if limit := place.get("limit").number(0, LOW):
        if limit < 0 and not place.has("swap"):  # the sum can't be below its part
            found.append(setting(*swap, -1, optional=True))
        found.append(setting("a memory limit", "memory.limit_in_bytes", limit))
    if total := place.get("swap").number(0, LOW):
        if 0 < total < limit:
            place.get("swap").refuse("is memory and swap together, but below memory.limit")
        found.append(setting(*swap, total, optional=True))
    if reservation := place.get("reservation").number(0, LOW):
        file = "memory.soft_limit_in_bytes"
        found.append(setting("a memory reservation", file, reservation))
    if place.has("swappiness"):
        value = place.get("swappiness").number(0, 0, 100)
        found.append(setting("a swappiness", "memory.swappiness", value))
    if place.has("disableOOMKiller"):
        off = place.get("disableOOMKiller").truth()
        found.append(setting("no OOM killer", "memory.oom_control", int(off), optional=not off))
    return found


def cpu(place: Place) -> list[Setting]:
    """Read resources.cpu, but for the cpuset."""
    files = {  # each period before the quota that is compared with it
        "shares": "cpu.shares",
        "period": "cpu.cfs_period_us",
        "quota": "cpu.cfs_quota_us",
        "burst": "cpu.cfs_burst_us",
        "realtimePeriod": "cpu.rt_period_us",
        "realtimeRuntime": REALTIME,
        "idle": "cpu.idle",
    }
    asked = {key: place.get(key).number(0, LOW) for key in files}
    return [
        setting(f"a cpu {key}", files[key], value, optional=not value)
        for key, value in asked.items()
        if value or (key in ZERO_COUNTS and place.has(key))
    ]


def cpuset(place: Place) -> list[Setting]:
    """Read resources.cpu.cpus and .mems (cpuset(7), "List format")."""
    found = []
    for key in ("cpus", "mems"):
        text = place.get(key).text("")
        if text.strip("0123456789,-"):
            place.get(key).refuse(f"is {in_quotes(text)}, not a list like 0-3,7")
        if text:
            found.append(setting(f"a choice of {key}", f"cpuset.{key}", text))
    return found


def pids(place: Place) -> list[Setting]:
    """Read resources.pids."""
    if not place.has("limit"):
        return []
    return [setting("a pids limit", "pids.max", or_max(place.get("limit").number(low=LOW)))]


def block_io(place: Place) -> list[Setting]:
    """Read resources.blockIO. Weights are BFQ's; kernels before 5.0 had CFQ's."""
    found = []
    refuse_leaves(place)
    if weight := place.get("weight").number(0, 0, 1000):
        files = (("blkio.bfq.weight", str(weight)), ("blkio.weight", str(weight)))
        found.append(Setting("an I/O weight", files))
    for one in place.get("weightDevice").items():
        line = f"{device(one)} {one.get('weight').number(0, 0, 1000)}"
        files = (("blkio.bfq.weight_device", line), ("blkio.weight_device", line))
        found.append(Setting("an I/O weight", files))
    for key, file in _THROTTLES.items():
        for one in place.get(key).items():
            line = f"{device(one)} {one.get('rate').number()}"
            found.append(setting("an I/O limit", file, line))
    return found


def refuse_leaves(place: Place) -> None:
    """Refuse weights against the groups below: only CFQ had them, until Linux 5.0."""
    for one in (place, *place.get("weightDevice").items()):
        if one.get("leafWeight").number(0):
            one.get("leafWeight").refuse("is a weight that Linux has no more, since 5.0")


def hugepages(place: Place) -> list[Setting]:
    """Read resources.hugepageLimits."""
    return [
        setting("a limit of huge pages", f"hugetlb.{page_size(one)}.{file}", limit, optional=last)
        for one in place.items()
        for limit in [one.get("limit").number()]
        for file, last in (("limit_in_bytes", False), ("rsvd.limit_in_bytes", True))
    ]


def net_class(place: Place) -> list[Setting]:
    """Read resources.network.classID."""
    value = place.get("classID").number(0, 0, 0xFFFF_FFFF)
    return [setting("a network class", "net_cls.classid", value)] if value else []


def net_priorities(place: Place) -> list[Setting]:
    """Read resources.network.priorities."""
    lines = [
        f"{one.get('name').text()} {one.get('priority').number(0, 0, 0xFFFF_FFFF)}"
        for one in place.get("priorities").items()
    ]
    return [setting("a network priority", "net_prio.ifpriomap", line) for line in lines]


def rdma(place: Place) -> list[Setting]:
    """Read resources.rdma: the same in both versions."""
    found = []
    for name in place.object():
        one = place.get(name)
        words = [name]
        for key, word in (("hcaHandles", "hca_handle"), ("hcaObjects", "hca_object")):
            if one.has(key):
                words.append(f"{word}={one.get(key).number()}")
        found.append(setting("an RDMA limit", "rdma.max", " ".join(words)))
    return found


def device(place: Place) -> str:
    """Read the numbers of a block device."""
    return f"{place.get('major').number()}:{place.get('minor').number()}"


def page_size(place: Place) -> str:
    """Read the size of a huge page as the kernel writes it: "2MB"."""
    text = place.get("pageSize").text()
    number, unit = text[:-2], text[-2:]
    if not (number.isascii() and number.isdigit() and unit in ("KB", "MB", "GB")):
        place.get("pageSize").refuse(f"is {in_quotes(text)}, not a size like 2MB")
    return text
