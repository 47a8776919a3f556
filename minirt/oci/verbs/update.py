"""``minirt-oci update``: other limits for a container that lives."""

from __future__ import annotations

import os
import sys
from typing import Any

from minirt.errors import Conflict, InvalidRequest, in_quotes
from minirt.oci import birth, groups, json_file, lifecycle, records
from minirt.oci.words import Asked
from minirt.runtime import resources
from minirt.runtime.document import Place
from minirt.state import parse_json

# Options, and where linux.resources has their value.
_NUMBERS = {
    "blkio-weight": ("blockIO", "weight"),
    "cpu-period": ("cpu", "period"),
    "cpu-quota": ("cpu", "quota"),
    "cpu-burst": ("cpu", "burst"),
    "cpu-idle": ("cpu", "idle"),
    "cpu-share": ("cpu", "shares"),
    "cpu-rt-period": ("cpu", "realtimePeriod"),
    "cpu-rt-runtime": ("cpu", "realtimeRuntime"),
    "pids-limit": ("pids", "limit"),
}
_SIZES = {
    "memory": ("memory", "limit"),
    "memory-reservation": ("memory", "reservation"),
    "memory-swap": ("memory", "swap"),
}
_LISTS = {"cpuset-cpus": ("cpu", "cpus"), "cpuset-mems": ("cpu", "mems")}
_UNITS = {"": 0, "b": 0, "k": 10, "m": 20, "g": 30, "t": 40}


def run(asked: Asked) -> int:
    """Set them; what isn't named stays as it is."""
    record = records.load(asked.id)
    if lifecycle.status(record) == "stopped":
        raise Conflict("container not running")
    group = groups.of(record.cgroup)
    if group is None:
        raise Conflict(f"cannot update {asked.id}", "it has no cgroup")
    wanted = _from_file(asked.text("resources")) if asked.has("resources") else from_options(asked)
    resources.check_unified(Place(wanted, "linux.resources").get("unified"))
    wanted.pop("devices", None)  # As with runc: devices are decided at create.
    if record.unit:
        from minirt.oci import systemd, systemd_properties

        systemd.update(record.unit, systemd_properties.of_limits(wanted))
    resources.apply(group, wanted)
    groups.reduce_realtime_budget(group)
    return 0


def from_options(asked: Asked) -> dict[str, Any]:
    """Return linux.resources for the options. Raises InvalidRequest."""
    for option in ("l3-cache-schema", "mem-bw-schema"):
        if asked.has(option):
            raise InvalidRequest(f"--{option} is not supported", "minirt can't manage Intel RDT")
    wanted: dict[str, Any] = {}
    for option, (part, key) in {**_NUMBERS, **_SIZES, **_LISTS}.items():
        if not asked.has(option):
            continue
        value: Any = asked.text(option)
        if option in _NUMBERS:
            value = asked.number(option)
        elif option in _SIZES:
            value = _bytes(option, value)
        wanted.setdefault(part, {})[key] = value
    return wanted


def _bytes(option: str, text: str) -> int:
    if text == "-1":
        return -1
    number = text.lower().rstrip("bkmgt")
    unit = text.lower()[len(number) :].removesuffix("b")
    if not (number.isascii() and number.isdigit()) or unit not in _UNITS:
        raise InvalidRequest(
            f"invalid value {in_quotes(text)} for --{option}", "it is no size, like 512M"
        )
    return int(number) << _UNITS[unit]


def _from_file(path: str) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if path == "-" else json_file.read(birth.absolute(path))
        found = parse_json(text)
    except OSError as error:
        raise InvalidRequest(f"cannot read {path}", os.strerror(error.errno or 0)) from error
    except ValueError as error:
        raise InvalidRequest(f"{path} is no JSON", str(error)) from error
    if not isinstance(found, dict):
        raise InvalidRequest(f"{path} is no object of JSON")
    return found
