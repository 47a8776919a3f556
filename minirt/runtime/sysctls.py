"""Kernel parameters that belong to a namespace, and so to one container (sysctl(8)).

They are written through a procfs of one's own that is attached nowhere: whatever a rootfs or
a racing neighbour has put over /proc/sys, the value lands in the parameter of that name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from minirt.kernel import beneath, mounts
from minirt.kernel.beneath import Resolve
from minirt.kernel.namespaces import Namespace
from minirt.kernel.steps import step

# Which of them are the namespace's own: ipc_namespaces(7), mq_overview(7), uts_namespaces(7).
_IPC = {
    *("kernel/msgmax", "kernel/msgmnb", "kernel/msgmni", "kernel/sem", "kernel/shmall"),
    *("kernel/shmmax", "kernel/shmmni", "kernel/shm_rmid_forced"),
}
_NAME = re.compile(r"[\w.@:-]+(/[\w.@:-]+)+", re.ASCII)
_SEPARATOR = re.compile(r"[./]")
_STRAIGHT = Resolve.BENEATH | Resolve.NO_XDEV | Resolve.NO_SYMLINKS


def check(key: str, value: str, namespaces: Mapping[Namespace, str]) -> str:
    """Say why a parameter must not be set, "" if it may."""
    path = path_of(key)
    if not _NAME.fullmatch(path) or ".." in path.split("/"):
        return "is no name of a parameter"
    if "\n" in value or "\0" in value:
        return "has more than one line"
    owner = _owner(path)
    if owner is None:
        return "belongs to the whole machine"
    if owner not in namespaces:
        return "would change the host: the namespace that it belongs to is not the container's own"
    return ""


def path_of(key: str) -> str:
    """Return the path below /proc/sys; "." and "/" may both separate, as in sysctl(8)."""
    first = _SEPARATOR.search(key)
    if first and first[0] == ".":
        return key.translate({ord("."): "/", ord("/"): "."})
    return key


def write(values: Mapping[str, str]) -> None:
    """Set the parameters in the namespaces of this process. Raises OSError."""
    if not values:
        return
    proc = _open_proc()
    try:
        for key, value in values.items():
            with step("set a kernel parameter", "sysctl", "-w", f"{key}={value}"):
                _write(proc, key, value)
    finally:
        os.close(proc)


def _open_proc() -> int:
    """Open a procfs; the host's where this process may make none.

    That is so in a user namespace that has no PID namespace of its own. The root that is
    attached later is not there yet.
    """
    try:
        return mounts.new("proc")
    except PermissionError:
        return os.open("/proc", beneath.FOLDER)


def write_permitted(values: Mapping[str, str]) -> dict[str, str]:
    """Set those that this process may set; return the others. Raises OSError."""
    left = {}
    for key, value in values.items():
        try:
            write({key: value})
        except PermissionError:
            left[key] = value
    return left


def _write(proc: int, key: str, value: str) -> None:
    path = f"sys/{path_of(key)}"
    fd = beneath.open_beneath(proc, path, os.O_WRONLY, resolve=_STRAIGHT)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def _owner(path: str) -> Namespace | None:
    if path in _IPC or path.startswith("fs/mqueue/"):
        return Namespace.IPC
    if path.startswith("net/"):
        return Namespace.NET
    return Namespace.UTS if path == "kernel/domainname" else None
