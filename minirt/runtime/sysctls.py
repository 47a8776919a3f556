"""Kernel parameters that belong to a namespace, and so to one container (sysctl(8)).

Whatever has been put over /proc/sys, or over a file in there, the value lands in the parameter of
that name: it goes through the machine's own /proc, in one straight way that no mount interrupts,
else through a procfs that is attached nowhere. (To make that each time, and to drop it again,
would take a millisecond: the kernel waits until nobody can be using it any more.)
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping

from minirt.kernel import beneath, libc, mounts
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
_PROC_SUPER_MAGIC = 0x9FA0  # include/uapi/linux/magic.h
_COVERED = (errno.EXDEV, errno.ENOENT, errno.EROFS)
_STRAIGHT = Resolve.BENEATH | Resolve.NO_XDEV | Resolve.NO_SYMLINKS


def check(key: str, value: str, namespaces: Mapping[Namespace, str]) -> str:
    """Say why a parameter must not be set, "" if it may."""
    path = path_of(key)
    if not _NAME.fullmatch(path) or ".." in path.split("/"):
        return "is no name of a parameter"
    if "\n" in value or "\0" in value:
        return "has more than one line"
    if path == "kernel/hostname":
        return "conflicts with hostname, where the name belongs"
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
    for key, value in values.items():
        with step("set a kernel parameter", "sysctl", "-w", f"{key}={value}"):
            fd = _open(f"sys/{path_of(key)}")
            try:
                os.write(fd, value.encode())
            finally:
                os.close(fd)


def write_permitted(values: Mapping[str, str]) -> dict[str, str]:
    """Set those that this process may set; return the others. Raises OSError."""
    left = {}
    for key, value in values.items():
        try:
            write({key: value})
        except PermissionError:
            left[key] = value
    return left


def _open(path: str) -> int:
    """Open a file of procfs for writing."""
    try:
        fd = _open_in(os.open("/proc", beneath.FOLDER), path)
    except OSError as error:
        if error.errno not in _COVERED:
            raise
    else:
        if libc.file_system(fd) == _PROC_SUPER_MAGIC:
            return fd
        os.close(fd)
    return _open_in(mounts.new("proc"), path)


def _open_in(proc: int, path: str) -> int:
    try:
        return beneath.open_beneath(proc, path, os.O_WRONLY, resolve=_STRAIGHT)
    finally:
        os.close(proc)


def _owner(path: str) -> Namespace | None:
    if path in _IPC or path.startswith("fs/mqueue/"):
        return Namespace.IPC
    if path.startswith("net/"):
        return Namespace.NET
    return Namespace.UTS if path == "kernel/domainname" else None
