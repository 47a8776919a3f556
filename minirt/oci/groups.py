"""Which cgroup a container gets (config-linux.md, "Cgroups Path")."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from minirt.errors import Conflict, InvalidRequest, in_quotes, kernel_refused
from minirt.kernel import cgroup_signals, cgroups
from minirt.kernel.cgroup_files import number
from minirt.kernel.cgroups import Cgroup

# What every container may use, whatever its config allows: the devices that every /dev has
# (config-linux.md, "Default Devices"), pseudoterminals, and the making of any node.
_ALWAYS = (
    ("c", -1, -1, "m"),
    ("b", -1, -1, "m"),
    *(("c", 1, minor, "rwm") for minor in (3, 5, 7, 8, 9)),
    *(("c", 5, minor, "rwm") for minor in (0, 1, 2)),
    ("c", 136, -1, "rwm"),
)
_TRIES = 10
_MOST_LEVELS = 64  # of a cgroupsPath
_manager = "cgroupfs"


def use_manager(name: str) -> None:
    """Choose who makes cgroups. Raises InvalidRequest for what doesn't exist."""
    global _manager
    if name not in ("cgroupfs", "systemd", "disabled"):
        why = "it is cgroupfs, systemd or disabled"
        raise InvalidRequest(f"unknown cgroup manager {in_quotes(name)}", why)
    _manager = name


def by_systemd() -> bool:
    """Say whether systemd shall make the groups of new containers."""
    return _manager == "systemd"


def name_for(path: str, identifier: str) -> str:
    """Return the name of the group for a cgroupsPath; "" for none at all.

    An absolute path is below the top of each hierarchy, a relative one below minirt's own
    group; without a path the group is called like the container.
    """
    if _manager == "disabled":
        return ""
    try:
        cgroups.find(path or identifier)
    except ValueError as error:
        raise InvalidRequest(f"linux.cgroupsPath is {in_quotes(path)}", str(error)) from error
    return path or identifier


def check_depth(name: str) -> None:
    """Refuse a group with more than 64 levels below the top. Raises InvalidRequest.

    The kernel has no limit unless cgroup.max.depth has one, and a path may have 2,048 levels
    (PATH_MAX). The time to make them grows with the square of their number, as with runc: 64 take
    0.3 s with nine hierarchies, 500 take 8 s. Kubernetes uses 5 levels.
    """
    levels = sum(1 for part in cgroups.path_of(name).split("/") if part) if name else 0
    if levels > _MOST_LEVELS:
        why = f"it has {levels} levels, and minirt-oci makes {_MOST_LEVELS} at most"
        raise InvalidRequest("linux.cgroupsPath is too deep", why, "Use a shorter path.")


def check_free(group: Cgroup) -> None:
    """Refuse a group that others are in, or that is frozen. Raises Conflict."""
    there = [one.path for one in group.folders if one.path.exists()]
    found = set().union(*(cgroup_signals.pids(one) for one in there))
    if found:
        why = f"container's cgroup is not empty: {len(found)} process(es) found"
        raise Conflict(f"cannot use the cgroup {group.name}", why)
    if any(cgroup_signals.is_frozen(one) for one in there):
        raise Conflict(f"cannot use the cgroup {group.name}", "container's cgroup is frozen")


def missing_of(group: Cgroup) -> tuple[str, ...]:
    """Return the folders that must be made for a group, and so be removed: it and its parents."""
    missing = []
    for one in group.folders:
        parents = [path for path in one.path.parents if path.is_relative_to(one.hierarchy.top)]
        shared = one.hierarchy.top / cgroups.base_name()
        missing += [path for path in (one.path, *parents) if path != shared and not path.exists()]
    return tuple(map(str, missing))


def is_version_2_alone(group: Cgroup) -> bool:
    """Say whether this machine has one hierarchy for all."""
    return all(one.hierarchy.version == 2 for one in group.folders)


def make(name: str, limits: Mapping[str, Any]) -> Cgroup:
    """Make the group, with its limits. Raises InvalidRequest, KernelRefused."""
    from minirt.runtime import resources

    try:
        group = _make(name)
    except OSError as error:
        raise kernel_refused(f"cannot make the cgroup {name}", error) from error
    resources.apply(group, with_devices(limits))
    return group


def _make(name: str) -> Cgroup:
    """Make it, also while another container's end removes the parents that they share."""
    for _ in range(_TRIES):
        try:
            return cgroups.make(name)
        except FileNotFoundError:
            continue
    return cgroups.make(name)


def with_devices(limits: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return linux.resources with what every container may use, if it limits devices."""
    rules = limits.get("devices")
    if not isinstance(rules, list) or not rules:
        return limits
    always = [
        {"allow": True, "type": kind, "major": major, "minor": minor, "access": access}
        for kind, major, minor, access in _ALWAYS
    ]
    return {**limits, "devices": [*rules, *always]}


def of(name: str) -> Cgroup | None:
    """Return a container's group; None if it has none."""
    return cgroups.find(name) if name else None


def of_process(name: str, below: list[str]) -> Cgroup | None:
    """Return the group for one more process of a container; ``below`` is what exec --cgroup says.

    Raises InvalidRequest for a group that isn't there, or not below the container's.
    """
    group = of(name)
    if group is None or not below:
        return group
    chosen = dict(_choice(one) for one in below)
    folders = []
    for one in group.folders:
        sub = next((chosen[key] for key in one.hierarchy.controllers if key in chosen), None)
        sub = chosen.get("", "") if sub is None else sub
        folders.append(replace(one, path=one.path / sub.strip("/")))
    for one in folders:
        if not one.path.is_dir():
            raise InvalidRequest("--cgroup names no group of the container", f"{one.path}")
    return replace(group, folders=tuple(folders))


def _choice(text: str) -> tuple[str, str]:
    """Read "[CONTROLLER:]PATH"."""
    controller, colon, path = text.rpartition(":")
    if ".." in path.split("/") or (colon and not controller):
        raise InvalidRequest(f"--cgroup is {in_quotes(text)}", "it leaves the container's group")
    return controller, path


def is_frozen(group: Cgroup) -> bool:
    """Say whether all of its processes stand."""
    folders = [one.path for one in group.folders]
    return any(cgroup_signals.is_frozen(one) for one in folders if one.exists())


def remove(group: Cgroup, made: Iterable[str]) -> None:
    """Remove what was made for a container, and what lies below; leave the rest.

    Of its parents those go that were made for it, and that nobody else uses by now.
    """
    own = set(made)
    folders = tuple(one for one in group.folders if str(one.path) in own)
    reduce_realtime_budget(replace(group, folders=folders), release=True)
    replace(group, folders=folders).remove()
    parents = own - {str(one.path) for one in folders}
    for path in sorted(map(Path, parents), key=lambda path: -len(path.parts)):
        try:
            path.rmdir()
        except OSError:
            continue


def reduce_realtime_budget(group: Cgroup, *, release: bool = False) -> None:
    """Lower the realtime budgets of minirt's own groups to what the containers in them have.

    With ``release`` the group itself gives up its own before. Only cgroup version 1 has such
    budgets. No group can have more than the one above it, so there is nothing to lower if the
    group of minirt has none.
    """
    folder = group.folder("cpu")
    if folder is None or folder.hierarchy.version == 2:
        return
    if number(folder.hierarchy.top / cgroups.base_name() / "cpu.rt_runtime_us"):
        from minirt.runtime import realtime_budget

        (realtime_budget.release if release else realtime_budget.reduce)(folder)
