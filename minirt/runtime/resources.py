"""What a container may use of the machine: linux.resources, put into its cgroup.

A limit that this kernel cannot hold is refused, and never silently left out: who asked for it
relies on it. (Two exceptions, as everywhere: a swap limit without swap accounting, and the
limits of kernel memory, which Linux gave up in 5.16.)
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, NoReturn

from minirt.errors import InvalidRequest, in_quotes, kernel_refused
from minirt.kernel import cgroups, device_filter
from minirt.kernel.cgroup_files import write, write_each
from minirt.kernel.cgroups import Cgroup, Folder
from minirt.kernel.device_filter import Rule
from minirt.runtime import resources_v1 as v1
from minirt.runtime import resources_v2 as v2
from minirt.runtime.document import Place
from minirt.runtime.resource_settings import Setting

_NO_UNIFIED = "invalid configuration: cannot use unified on cgroup v1"  # as runc and crun say it
_TRIES = 10
_CONTROLLER_FILE = re.compile(r"(?!cgroup\.)[a-z_]+(\.[A-Za-z0-9_]+)+")
Read = Callable[[Place], list[Setting]]


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of linux.resources: who reads it, for the controllers of either version."""

    key: str
    controllers: tuple[str, str | None]  # of version 1 and of version 2
    read: tuple[Read, Read | None]


_PARTS = (
    _Part("memory", ("memory", "memory"), (v1.memory, v2.memory)),
    _Part("cpu", ("cpu", "cpu"), (v1.cpu, v2.cpu)),
    _Part("cpu", ("cpuset", "cpuset"), (v1.cpuset, v1.cpuset)),
    _Part("pids", ("pids", "pids"), (v1.pids, v1.pids)),
    _Part("blockIO", ("blkio", "io"), (v1.block_io, v2.block_io)),
    _Part("hugepageLimits", ("hugetlb", "hugetlb"), (v1.hugepages, v2.hugepages)),
    _Part("rdma", ("rdma", "rdma"), (v1.rdma, v1.rdma)),
    _Part("network", ("net_cls", None), (v1.net_class, None)),
    _Part("network", ("net_prio", None), (v1.net_priorities, None)),
)


def check_unified(place: Place) -> None:
    """Check the keys of resources.unified before anything is made or changed.

    A key is the name of a controller's file, as memory.high. The core files, all called cgroup.*,
    belong to the manager of the groups: a PID in cgroup.procs moves any process of the host
    (Documentation/admin-guide/cgroup-v2.rst, "Core Interface Files"). Raises InvalidRequest.
    """
    for file in place.mapping():
        if not _CONTROLLER_FILE.fullmatch(file):
            why = "which is no file of a controller: a key has the form CONTROLLER.PARAMETER"
            place.refuse(f'has "{file}", {why}, as memory.high')


def apply(cgroup: Cgroup, resources: Mapping[str, Any]) -> None:
    """Set the limits of a group that has been made, those of devices among them.

    Raises InvalidRequest for what makes no sense, or what this machine lacks.
    """
    apply_devices(cgroup, resources)
    apply_amounts(cgroup, resources)


def apply_devices(cgroup: Cgroup, resources: Mapping[str, Any]) -> None:
    """Limit the devices, before init makes or opens any.

    Version 1 takes one rule after the other, beginning with one that denies them all: init would
    meanwhile be refused its own /dev/null. Raises as :func:`apply`.
    """
    place = Place(resources, "linux.resources")
    if place.has("devices"):
        limit_devices(cgroup, device_rules(place.get("devices")))


def apply_amounts(cgroup: Cgroup, resources: Mapping[str, Any]) -> None:
    """Set the limits of everything but devices. Raises as :func:`apply`."""
    place = Place(resources, "linux.resources")
    _check_use(cgroup, place.get("memory"))
    for part in _PARTS:
        _apply_part(cgroup, part, place.get(part.key))
    if place.object().get("unified"):
        _apply_unified(cgroup, place.get("unified"))


def device_rules(place: Place) -> list[Rule]:
    """Read resources.devices: an allow list, in which the last line that fits counts.

    The letters of ``access`` have no order. As with runc, any but r, w and m are ignored, and a
    rule must have one of these. Raises InvalidRequest.
    """
    kinds = {"a": "a", "b": "b", "c": "c", "u": "c", "": "a"}
    rules = []
    for one in place.items():
        asked = one.get("access").text("") or "rwm"
        access = "".join(letter for letter in "rwm" if letter in asked)
        if not access:
            one.get("access").refuse(f"is '{asked}', not some of r, w and m")
        kind = kinds.get(one.get("type").text(""))
        if kind is None:
            one.get("type").refuse("is neither a, b nor c")
        numbers = (one.get(key).number(-1, -1, 0xFFFF_FFFF) for key in ("major", "minor"))
        major, minor = (None if number < 0 else number for number in numbers)
        rules.append(Rule(one.get("allow").truth(), kind, major, minor, access))
    return rules


def limit_devices(cgroup: Cgroup, rules: list[Rule]) -> None:
    """Let the rules hold in the group. Raises InvalidRequest, KernelRefused."""
    folder = cgroup.folder("devices")
    try:
        if folder:
            for allow, some in groupby(rules, lambda rule: rule.allow):
                file = folder.path / ("devices.allow" if allow else "devices.deny")
                write_each("limit the devices", file, [str(rule) for rule in some])
        elif cgroup.unified:
            device_filter.attach(cgroup.unified, rules)
        else:
            _lacks("A limit of devices", "devices")
    except OSError as error:
        raise kernel_refused("Cannot limit the devices", error) from error


def _apply_part(cgroup: Cgroup, part: _Part, place: Place) -> None:
    folder, read = _ruler(cgroup, part)
    settings = read(place)
    if folder is None:
        for one in settings:
            if not one.optional:
                _lacks(one.what, part.controllers[0])
        return
    if not settings:
        return
    if folder.hierarchy.version == 2:
        cgroups.enable(folder, tuple(name for name in part.controllers if name))
    again = [one for one in settings if not _put(folder.path, one)]
    for tries_left in reversed(range(_TRIES)):
        if not any(file == v1.REALTIME for one in again for file, _ in one.choices):
            break
        # Other containers may take or return budget between extending ours and using it.
        _extend_realtime_budget(folder, place, last=not tries_left)
        again = [one for one in again if not _put(folder.path, one)]
    for one in again:  # Two limits can stand in each other's way, as memory and memory + swap.
        _put(folder.path, one, last=True)


def _extend_realtime_budget(folder: Folder, place: Place, *, last: bool) -> None:
    """Extend the budgets of the groups above, after the kernel has refused that of this group.

    Raises InvalidRequest if the kernel refuses that, too, and this is the ``last`` attempt.
    """
    from minirt.runtime import realtime_budget

    runtime, period = (place.get(key).number(0) for key in ("realtimeRuntime", "realtimePeriod"))
    try:
        realtime_budget.extend(folder, runtime, period)
    except OSError as error:
        if last:
            why = f"the realtime budget above {folder.path} is too small: {error.filename}"
            place.get("realtimeRuntime").refuse(f"is {runtime}, but {why}")


def _check_use(cgroup: Cgroup, memory: Place) -> None:
    """Obey memory.checkBeforeUpdate: refuse a limit below what is in use by now."""
    if not memory.get("checkBeforeUpdate").truth():
        return
    limit, used = memory.get("limit").number(0, v1.LOW), cgroup.stats().memory or 0
    if 0 < limit < used:
        memory.get("limit").refuse(f"is {limit}, but {used} bytes are in use")


def _ruler(cgroup: Cgroup, part: _Part) -> tuple[Folder | None, Read]:
    """Find the folder that rules over a part, and who speaks its language."""
    for version, (name, read) in enumerate(zip(part.controllers, part.read, strict=True), 1):
        folder = cgroup.folder(name) if name else None
        if folder and read and folder.hierarchy.version == version:
            return folder, read
    return None, part.read[0]


def _put(folder: Path, setting: Setting, *, last: bool = False) -> bool:
    """Write one setting; False if it must wait for another. Raises InvalidRequest."""
    choices = [(folder / file, value) for file, value in setting.choices]
    file, value = next(((f, v) for f, v in choices if f.exists()), (None, ""))
    if file is None:
        if setting.optional:
            return True
        why = f"this kernel has no {' or '.join(file for file, _ in setting.choices)}"
        raise InvalidRequest(f"{_sentence(setting.what)} was asked for", why)
    try:
        write("set a limit", file, value)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.EBUSY) and not last:
            return False
        why = (
            f"the kernel doesn't take {in_quotes(value)} in {file}: {os.strerror(error.errno or 0)}"
        )
        raise InvalidRequest(f"{_sentence(setting.what)} can't be set", why) from error
    return True


def _apply_unified(cgroup: Cgroup, place: Place) -> None:
    """Write resources.unified, which :func:`check_unified` has checked: files of version 2."""
    folder = next((one for one in cgroup.folders if one.hierarchy.version == 2), None)
    if folder is None:
        raise InvalidRequest(_NO_UNIFIED, "this machine has no hierarchy of version 2")
    for file, value in place.mapping().items():
        controller = file.partition(".")[0]
        if controller not in folder.hierarchy.controllers:
            if any(one.hierarchy.version == 1 for one in cgroup.folders):
                why = f"{file} needs the controller {controller} in the hierarchy of version 2"
                raise InvalidRequest(_NO_UNIFIED, why)
            _lacks(f"the setting {file}", controller)
        cgroups.enable(folder, (controller,))
        for line in value.splitlines():
            _put(folder.path, Setting(f"the setting {file}", ((file, line),)), last=True)


def _lacks(what: str, controller: str) -> NoReturn:
    """Refuse what needs a controller that this machine doesn't have."""
    remedy = ""
    if controller == "memory":
        remedy = "Boot it with cgroup_enable=memory."
    why = f"this machine has no {controller} controller"
    raise InvalidRequest(f"{_sentence(what)} was asked for", why, remedy)


def _sentence(what: str) -> str:
    return what[0].upper() + what[1:]
