"""What containers depend on of the machine they are on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from minirt import __version__
from minirt.container import alive, lifecycle
from minirt.kernel import cgroup_mounts
from minirt.state import root_dir, run_dir


def version() -> dict[str, Any]:
    """Return what ``version`` prints: no file of minirt is read."""
    import platform

    system = os.uname()
    return {
        "Version": __version__,
        "PythonVersion": platform.python_version(),
        "Os": system.sysname.lower(),
        "Arch": system.machine,
        "KernelVersion": system.release,
    }


def info() -> dict[str, Any]:
    """Return what ``info`` prints, under Docker's names where it has them."""
    from minirt.images import store

    records = lifecycle.all_records()
    running = sum(alive.is_held(one.id) for one in records)
    system = os.uname()
    return {
        "Containers": len(records),
        "ContainersRunning": running,
        "ContainersPaused": 0,
        "ContainersStopped": len(records) - running,
        "Images": len(store.all()),
        "Driver": "overlay",
        "LoggingDriver": "json-file",
        "CgroupVersion": _cgroup_version(),
        "CgroupControllers": sorted(
            {name for one in cgroup_mounts.hierarchies() for name in one.controllers}
        ),
        "FileSystems": [name for name in ("overlay", "tmpfs") if _has_file_system(name)],
        "IPv4Forwarding": _read("/proc/sys/net/ipv4/ip_forward") == "1",
        "SecurityOptions": ["seccomp"] if "Seccomp:" in _read("/proc/self/status") else [],
        "KernelVersion": system.release,
        "OperatingSystem": _distribution(),
        "OSType": "linux",
        "Architecture": system.machine,
        "NCPU": os.cpu_count() or 1,
        "MemTotal": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "Name": system.nodename,
        "DockerRootDir": str(root_dir()),
        "RunRootDir": str(run_dir()),
        "ServerVersion": __version__,
    }


def _cgroup_version() -> str:
    """Return "1", "2", or "1 and 2" for a hybrid machine."""
    versions = {one.version for one in cgroup_mounts.hierarchies()}
    return " and ".join(map(str, sorted(versions)))


def _has_file_system(name: str) -> bool:
    """Say whether the kernel mounts it now; a module may be loaded at its first use."""
    return any(line.split()[-1] == name for line in _read("/proc/filesystems").splitlines())


def _distribution() -> str:
    for line in _read("/etc/os-release").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return "Linux"


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
