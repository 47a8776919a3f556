"""linux.resources in the words of systemd (systemd.resource-control(5)).

The limits stand in the files of the cgroup in any case; systemd must know of them as well, since
it writes its own idea there when it is reloaded. Devices it is not told of: their program is
attached to the cgroup by us, and systemd removes none but its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from minirt.errors import in_quotes
from minirt.oci.systemd import Property
from minirt.runtime.document import Place
from minirt.runtime.resources_v1 import LOW
from minirt.runtime.resources_v2 import weight_of_shares

_NO_LIMIT = (1 << 64) - 1
_STEP = 10_000  # microseconds: systemd takes a quota in hundredths of a processor
_UNIFIED = {
    "memory.min": "MemoryMin",
    "memory.low": "MemoryLow",
    "memory.high": "MemoryHigh",
    "memory.max": "MemoryMax",
    "memory.swap.max": "MemorySwapMax",
    "cpu.weight": "CPUWeight",
    "pids.max": "TasksMax",
}
_PREFIX = "org.systemd.property."


def of_limits(resources: Mapping[str, Any]) -> list[Property]:
    """Return what of the limits is systemd's business."""
    top = Place(resources, "linux.resources")
    found = [*_memory(top.get("memory")), *_cpu(top.get("cpu"))]
    if top.get("pids").has("limit"):
        found.append(_number("TasksMax", top.get("pids").get("limit").number(low=LOW)))
    for file, value in top.get("unified").mapping().items():
        if file in _UNIFIED and (value == "max" or value.isdigit()):
            found.append(_number(_UNIFIED[file], -1 if value == "max" else int(value)))
    return found


def of_annotations(annotations: Mapping[str, str]) -> list[Property]:
    """Return the properties that annotations ask for: org.systemd.property.NAME.

    A value is in the text form of GVariant: 'text', true, 5, uint64 5. Raises InvalidRequest.
    """
    found = []
    for key, text in annotations.items():
        if not key.startswith(_PREFIX):
            continue
        name, (kind, value) = key.removeprefix(_PREFIX), _variant(Place(text, key))
        if name.endswith("Sec") and not name.endswith("USec") and kind in "iut":  # seconds
            name, kind, value = name.removesuffix("Sec") + "USec", "t", int(value) * 1_000_000
        found.append((name, (kind, value)))
    return found


def _memory(place: Place) -> Iterable[Property]:
    limit, total = (place.get(key).number(0, LOW) for key in ("limit", "swap"))
    if limit:
        yield _number("MemoryMax", limit)
    if total < 0 or limit < 0:
        yield _number("MemorySwapMax", -1)
    elif total:
        yield _number("MemorySwapMax", max(total - limit, 0))
    if reservation := place.get("reservation").number(0, LOW):
        yield _number("MemoryLow", reservation)


def _cpu(place: Place) -> Iterable[Property]:
    if shares := place.get("shares").number(0):
        yield _number("CPUWeight", weight_of_shares(shares))
    quota, period = place.get("quota").number(0, LOW), place.get("period").number(0)
    if period:
        yield _number("CPUQuotaPeriodUSec", period)
    if quota > 0:
        each_second = quota * 1_000_000 // (period or 100_000)
        yield _number("CPUQuotaPerSecUSec", each_second + -each_second % _STEP)
    elif quota:
        yield _number("CPUQuotaPerSecUSec", -1)
    for key, name in (("cpus", "AllowedCPUs"), ("mems", "AllowedMemoryNodes")):
        if text := place.get(key).text(""):
            yield name, ("ay", _bits(place.get(key), text))


def _number(name: str, value: int) -> Property:
    return name, ("t", _NO_LIMIT if value < 0 else value)


def _bits(place: Place, text: str) -> bytes:
    """Turn a list of cpuset(7) into a mask, its lowest bits first."""
    mask = 0
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not (first.isdigit() and (last or first).isdigit() and int(last or first) < 1 << 16):
            place.refuse(f"is {in_quotes(text)}, not a list like 0-3,7")
        for bit in range(int(first), int(last or first) + 1):
            mask |= 1 << bit
    return mask.to_bytes((mask.bit_length() + 7) // 8, "little")


def _variant(place: Place) -> tuple[str, Any]:
    text = place.text().strip()
    if text in ("true", "false"):
        return "b", text == "true"
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return "s", text[1:-1]
    kind, _, digits = text.rpartition(" ")
    kinds = {"": "i", "int32": "i", "uint32": "u", "int64": "x", "uint64": "t"}
    if kind not in kinds or not digits.removeprefix("-").isdecimal():
        place.refuse(f"is {in_quotes(text)}, none of 'text', true, 5 and uint64 5")
    return kinds[kind], int(digits)
