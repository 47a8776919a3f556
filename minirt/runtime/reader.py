"""From a config.json, which anybody may have written, to a :class:`Spec`.

What the specification allows and this runtime lacks is refused, not ignored: a container
that is less contained than its config says would be worse than none.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minirt.errors import InvalidRequest, in_quotes
from minirt.kernel.mounts import Propagation
from minirt.kernel.namespaces import Namespace
from minirt.kernel.scheduling import DOMAINS
from minirt.kernel.user_namespaces import IdMapping
from minirt.runtime import mapping_reader
from minirt.runtime.document import Place
from minirt.runtime.process_reader import environment, process, selinux_label
from minirt.runtime.spec import (
    NAMESPACES,
    Device,
    Hook,
    Hooks,
    Mount,
    Root,
    Spec,
)
from minirt.runtime.sysctls import check as check_sysctl
from minirt.runtime.sysctls import path_of

if TYPE_CHECKING:
    from minirt.kernel.numa import MemoryPolicy

_LARGEST_ID = (1 << 32) - 2
_PROPAGATIONS = {
    "": Propagation.NONE,
    **{name: Propagation[name.upper()] for name in ("private", "slave", "shared", "unbindable")},
    **{f"r{name}": Propagation[name.upper()] for name in ("private", "slave", "shared")},
}
# config-linux.md has these too. A null, an empty text and an empty object ask for nothing.
_UNSUPPORTED = ("intelRdt", "netDevices")
_UNLABELLED = ("", "bind", "proc", "sysfs", "cgroup", "cgroup2")  # mount(8), "context="
_DEVICE_KINDS = {"c": "c", "u": "c", "b": "b", "p": "p"}


def read(document: Mapping[str, Any]) -> Spec:
    """Read a config.json. Raises InvalidRequest, which names the place in the document."""
    top = Place(document)
    if not isinstance(document, Mapping):
        top.refuse("is not an object")
    linux = top.get("linux")
    for key in _UNSUPPORTED:
        if linux.get(key).value:
            linux.get(key).refuse("asks for what minirt does not do yet")
    namespaces = _namespaces(linux)
    uid_mappings = mapping_reader.mappings(linux.get("uidMappings"))
    gid_mappings = mapping_reader.mappings(linux.get("gidMappings"))
    mounts = _mounts(top.get("mounts"), uid_mappings, gid_mappings)
    spec = Spec(
        root=_root(top.get("root")),
        process=process(top.get("process")),
        hostname=top.get("hostname").text(""),
        domainname=top.get("domainname").text(""),
        mounts=_labelled(mounts, linux.get("mountLabel")),
        namespaces=namespaces,
        devices=linux.get("devices").each(_device),
        resources=_resources(linux.get("resources")),
        sysctl=_sysctls(linux.get("sysctl"), namespaces),
        mount_label=selinux_label(linux.get("mountLabel")),
        masked_paths=tuple(one.absolute() for one in linux.get("maskedPaths").items()),
        readonly_paths=tuple(one.absolute() for one in linux.get("readonlyPaths").items()),
        rootfs_propagation=_propagation(linux.get("rootfsPropagation")),
        seccomp=linux.get("seccomp").object() if linux.has("seccomp") else None,
        cgroups_path=linux.get("cgroupsPath").text(""),
        hooks=_hooks(top.get("hooks")),
        annotations=top.get("annotations").mapping(),
        uid_mappings=uid_mappings,
        gid_mappings=gid_mappings,
        personality=_personality(linux.get("personality")),
        memory_policy=_memory_policy(linux.get("memoryPolicy")),
        time_offsets=_time_offsets(linux.get("timeOffsets"), namespaces),
    )
    _check_together(spec)
    return spec


def _check_together(spec: Spec) -> None:
    """Refuse what is right piece by piece, and wrong as a whole."""
    kinds = spec.namespaces
    if spec.shares_mounts and spec.has_own_ids:
        why = "linux.namespaces has a user namespace without a new mount namespace to mount in"
        raise InvalidRequest("This config.json cannot be obeyed", why)
    mapping_reader.check(spec)
    names = [value for key, value in spec.sysctl.items() if path_of(key) == "kernel/domainname"]
    if spec.domainname and names not in ([], [spec.domainname]):
        why = "linux.sysctl has a kernel.domainname, which conflicts with domainname"
        raise InvalidRequest("This config.json cannot be obeyed", why)
    for name in ("hostname", "domainname"):
        if getattr(spec, name) and Namespace.UTS not in kinds:
            why = f"{name} would rename the host: linux.namespaces has no uts namespace"
            raise InvalidRequest("This config.json cannot be obeyed", why)
    if len(spec.hostname.encode()) > 64 or len(spec.domainname.encode()) > 64:
        why = "hostname or domainname is longer than 64 bytes (uname(2))"
        raise InvalidRequest("This config.json cannot be obeyed", why)


def _root(place: Place) -> Root:
    """Read config.md, "Root". The path "." is the bundle itself."""
    path = place.get("path").text()
    if not path:
        place.get("path").refuse("is empty")
    return Root(Path(path), place.get("readonly").truth())


def _namespaces(linux: Place) -> dict[Namespace, str]:
    found: dict[Namespace, str] = {}
    for one in linux.get("namespaces").items():
        kind = one.get("type").one_of(NAMESPACES)
        if kind in found:
            one.refuse("is there twice")
        path = one.get("path").text("")
        found[kind] = one.get("path").absolute() if path else ""
    return found


def _mounts(
    place: Place, uids: tuple[IdMapping, ...], gids: tuple[IdMapping, ...]
) -> tuple[Mount, ...]:
    """Read the mounts; ``uids`` and ``gids`` are the container's mappings."""
    mounts = place.each(_mount)
    if not any("idmap=" in option for one in mounts for option in one.options):
        return mounts
    from minirt.runtime import idmap_option

    places = zip(mounts, place.items(), strict=True)
    return tuple(idmap_option.obeyed(one, here, uids, gids) for one, here in places)


def _mount(place: Place) -> Mount:
    destination = place.get("destination").text()
    if not destination:
        place.get("destination").refuse("is empty")
    return Mount(
        destination=destination,
        kind=place.get("type").text(""),
        source=place.get("source").text(""),
        options=place.get("options").texts(),
        uid_mappings=mapping_reader.mappings(place.get("uidMappings")),
        gid_mappings=mapping_reader.mappings(place.get("gidMappings")),
    )


def _labelled(mounts: tuple[Mount, ...], place: Place) -> tuple[Mount, ...]:
    """Give the file systems that are made for the container its SELinux label."""
    label = selinux_label(place)
    if not label:
        return mounts
    return tuple(_with_label(one, label) for one in mounts)


def _with_label(one: Mount, label: str) -> Mount:
    if one.kind in _UNLABELLED or one.is_bind:
        return one
    if one.kind == "mqueue":
        return replace(one, label=label)
    return replace(one, options=(*one.options, f"context={label}"))


def _device(place: Place) -> Device:
    return Device(
        path=place.get("path").absolute(),
        kind=place.get("type").one_of(_DEVICE_KINDS),
        major=place.get("major").number(0, 0, (1 << 12) - 1),
        minor=place.get("minor").number(0, 0, (1 << 20) - 1),
        # podman gives st_mode as stat(2) has it, with the bits that say what kind of file it is.
        mode=stat.S_IMODE(place.get("fileMode").number(0o666, 0, (1 << 32) - 1)),
        uid=place.get("uid").number(0, 0, _LARGEST_ID),
        gid=place.get("gid").number(0, 0, _LARGEST_ID),
    )


def _propagation(place: Place) -> Propagation:
    return place.one_of(_PROPAGATIONS) if place.value is not None else Propagation.NONE


def _hooks(place: Place) -> Hooks:
    return Hooks(
        prestart=place.get("prestart").each(_hook),
        create_runtime=place.get("createRuntime").each(_hook),
        create_container=place.get("createContainer").each(_hook),
        start_container=place.get("startContainer").each(_hook),
        poststart=place.get("poststart").each(_hook),
        poststop=place.get("poststop").each(_hook),
    )


def _hook(place: Place) -> Hook:
    return Hook(
        path=place.get("path").absolute(),
        args=place.get("args").texts(),
        env=environment(place.get("env")) if place.has("env") else None,
        timeout=place.get("timeout").number(0, 1) if place.has("timeout") else None,
    )


def _resources(place: Place) -> Mapping[str, Any]:
    """Read linux.resources, which is read in full where it is applied."""
    if place.has("unified"):
        from minirt.runtime import resources

        resources.check_unified(place.get("unified"))
    return place.object()


def _sysctls(place: Place, namespaces: Mapping[Namespace, str]) -> dict[str, str]:
    found = {}
    for key, value in place.mapping().items():
        why = check_sysctl(key, value, namespaces)
        if why:
            place.refuse(f"asks for {in_quotes(key)}, which {why}")
        found[key] = value
    return found


def _personality(place: Place) -> int | None:
    """Read config-linux.md, "Personality"."""
    if place.value is None:
        return None
    for one in place.get("flags").items():
        one.refuse("is a flag, and the specification has none")
    return place.get("domain").one_of(DOMAINS)


def _memory_policy(place: Place) -> MemoryPolicy | None:
    """Read config-linux.md, "Memory Policy"."""
    if not place.object():
        return None
    from minirt.kernel import numa

    modes = {f"MPOL_{mode}": mode for mode in numa.MODES}
    flags = {f"MPOL_F_{flag}": flag for flag in numa.FLAGS}
    mode = place.get("mode").one_of(modes)
    nodes = _nodes(place.get("nodes"), numa.MOST_NODES)
    chosen = tuple(one.one_of(flags) for one in place.get("flags").items())
    if mode in numa.WITHOUT_NODES and (nodes or chosen):
        place.refuse(f"has nodes or flags, and MPOL_{mode} takes neither")
    if mode not in (*numa.WITHOUT_NODES, "PREFERRED") and not nodes:
        place.get("nodes").refuse(f"is empty, and MPOL_{mode} needs nodes")
    if {"STATIC_NODES", "RELATIVE_NODES"} <= set(chosen):
        place.get("flags").refuse("has static and relative nodes, which exclude each other")
    return numa.MemoryPolicy(mode, nodes, chosen)


def _nodes(place: Place, most: int) -> frozenset[int]:
    """Read a list of nodes like "0-3,7"."""
    found: set[int] = set()
    for word in place.text("").split(",") if place.value else ():
        first, dash, last = word.strip().partition("-")
        numbers = (first, last if dash else first)
        if not all(one.isascii() and one.isdigit() and int(one) < most for one in numbers):
            place.refuse(
                f"has {in_quotes(word)}, which is no number of a node below {most}, and no range"
            )
        nodes = range(int(numbers[0]), int(numbers[1]) + 1)
        if not nodes:
            place.refuse(f"has {in_quotes(word)}, a range that ends before it begins")
        found.update(nodes)
    return frozenset(found)


def _time_offsets(place: Place, namespaces: Mapping[Namespace, str]) -> dict[str, tuple[int, int]]:
    """Read config-linux.md, "Time offsets"."""
    found = {}
    for clock in place.object():
        one = place.get(clock)
        if clock not in ("monotonic", "boottime"):
            one.refuse("is no clock that can be set off")
        if namespaces.get(Namespace.TIME) != "":
            one.refuse("needs a new time namespace")
        limit = 1 << 63
        seconds = one.get("secs").number(0, -limit, limit - 1)
        found[clock] = (seconds, one.get("nanosecs").number(0, 0, 999_999_999))
    return found
