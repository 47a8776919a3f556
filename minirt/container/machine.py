"""What containers depend on of this machine, and what minirt is: ``version`` and ``info``.

The documents have the shape of ``docker version`` and ``docker info``, since scripts read them by
its names. minirt has no daemon: "Client" and "Server" are the same program, and there is no API,
whose versions are empty.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from minirt import __version__
from minirt.container import lifecycle
from minirt.container.log_writer import timestamp
from minirt.container.options import LOG_DRIVERS
from minirt.container.templates.structs import NIL_LIST, NIL_POINTER, Struct, struct
from minirt.container.templates.values import OpenMap
from minirt.kernel import cgroup_mounts
from minirt.kernel.cgroup_mounts import Hierarchy
from minirt.state import root_dir, run_dir

RUNTIME = "minirt"
# What "docker info" warns of when a controller is missing.
_NEEDED = {
    "MemoryLimit": "No memory limit support",
    "SwapLimit": "No swap limit support",
    "CpuCfsQuota": "No cpu cfs quota support",
    "CPUShares": "No cpu shares support",
    "CPUSet": "No cpuset support",
    "PidsLimit": "No pids limit support",
    "IPv4Forwarding": "IPv4 forwarding is disabled",
}
# What Docker tells of its daemon, its registries and the programs below it.
_OF_THE_DAEMON: dict[str, Any] = {
    **dict.fromkeys(("NFd", "NGoroutines", "NEventsListener"), 0),
    **{f"{name}Commit": {"ID": "", "Expected": ""} for name in ("Containerd", "Runc", "Init")},
    "KernelMemoryTCP": False,
    "IndexServerAddress": "",
    "RegistryConfig": NIL_POINTER,
    "GenericResources": NIL_LIST,
    "CDISpecDirs": NIL_LIST,
    "ClientInfo": {
        "Version": __version__,
        "Context": "default",
        "Plugins": [],
        "Warnings": NIL_LIST,
    },
}


def version() -> Struct:
    """Return what ``version`` prints: no file of minirt is read."""
    import platform

    from minirt.images.platforms import architecture

    system = os.uname()
    own = {
        "Version": __version__,
        "ApiVersion": "",
        "GitCommit": "",
        "GoVersion": "",
        "Os": system.sysname.lower(),
        "Arch": architecture(),
        "BuildTime": "",
    }
    details = OpenMap({"PythonVersion": platform.python_version(), "KernelVersion": system.release})
    engine = {"Name": "Engine", "Version": __version__, "Details": details}
    client = {**own, "DefaultAPIVersion": "", "Context": "default"}
    server = {
        "Platform": struct({"Name": "minirt"}),
        "Components": [struct(engine)],
        **own,
        "MinAPIVersion": "",
        "KernelVersion": system.release,
        "Experimental": False,
    }
    return struct({"Client": struct(client), "Server": struct(server, ("Experimental",))})


def info() -> Struct:
    """Return what ``info`` prints, under Docker's names where it has them."""
    from minirt.images import store

    states = [lifecycle.status(one) for one in lifecycle.all_records()]
    running, paused = states.count("running"), states.count("paused")
    system = os.uname()
    found = cgroup_mounts.hierarchies()
    can = {**_limits(found), "IPv4Forwarding": _is_one("/proc/sys/net/ipv4/ip_forward")}
    missing = [f"WARNING: {text}" for key, text in _NEEDED.items() if not can[key]]
    fields = {
        "ID": "",
        "Containers": len(states),
        "ContainersRunning": running,
        "ContainersPaused": paused,
        "ContainersStopped": len(states) - running - paused,
        "Images": len(store.all()),
        "Driver": "overlay",
        "DriverStatus": [],
        "Plugins": _plugins(),
        **can,
        "BridgeNfIptables": _is_one("/proc/sys/net/bridge/bridge-nf-call-iptables"),
        "BridgeNfIp6tables": _is_one("/proc/sys/net/bridge/bridge-nf-call-ip6tables"),
        "Debug": False,
        "SystemTime": timestamp(),
        "LoggingDriver": LOG_DRIVERS[0],
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": _cgroup_version(found),
        "CgroupControllers": sorted({name for one in found for name in one.controllers}),
        "FileSystems": [name for name in ("overlay", "tmpfs") if _has_file_system(name)],
        "SecurityOptions": _security_options(),
        "KernelVersion": system.release,
        "OperatingSystem": _distribution("PRETTY_NAME") or "Linux",
        "OSVersion": _distribution("VERSION_ID"),
        "OSType": "linux",
        "Architecture": system.machine,
        "NCPU": os.cpu_count() or 1,
        "MemTotal": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "Name": system.nodename,
        "Labels": [],
        "DockerRootDir": str(root_dir()),
        "RunRootDir": str(run_dir()),
        "HttpProxy": "",
        "HttpsProxy": "",
        "NoProxy": "",
        "ExperimentalBuild": False,
        "ServerVersion": __version__,
        "Runtimes": OpenMap({RUNTIME: struct({"path": RUNTIME})}),
        "DefaultRuntime": RUNTIME,
        "Swarm": struct({"NodeID": "", "LocalNodeState": "inactive", "ControlAvailable": False}),
        "LiveRestoreEnabled": True,  # containers need no daemon
        "Isolation": "",
        "InitBinary": "",
        "Warnings": missing or NIL_LIST,
        **_OF_THE_DAEMON,
    }
    return struct(fields)


def _plugins() -> Struct:
    return struct(
        {
            "Volume": ["local"],
            "Network": ["bridge", "host", "macvlan", "null"],
            "Authorization": NIL_LIST,
            "Log": list(LOG_DRIVERS),
        }
    )


def _limits(found: list[Hierarchy]) -> dict[str, bool]:
    """Return which limits the kernel can set: those whose controllers are mounted."""
    controllers = {name for one in found for name in one.controllers}
    is_v1 = any(one.version == 1 and "memory" in one.controllers for one in found)
    return {
        "MemoryLimit": "memory" in controllers,
        "SwapLimit": any(map(_limits_swap, found)),
        "CpuCfsPeriod": "cpu" in controllers,
        "CpuCfsQuota": "cpu" in controllers,
        "CPUShares": "cpu" in controllers,
        "CPUSet": "cpuset" in controllers,
        "PidsLimit": "pids" in controllers,
        "OomKillDisable": is_v1,  # version 2 has no such switch
    }


def _limits_swap(one: Hierarchy) -> bool:
    """Say whether a hierarchy limits swap; in version 2 the root group has no such file."""
    if "memory" not in one.controllers:
        return False
    if one.version == 1:
        return (one.top / "memory.memsw.limit_in_bytes").exists()
    return any(one.top.glob("*/memory.swap.max"))


def _cgroup_version(found: list[Hierarchy]) -> str:
    """Return "1" or "2"; "1" for a hybrid machine, whose controllers are in trees of version 1."""
    has_v1 = any(one.version == 1 and one.controllers for one in found)
    return "1" if has_v1 else "2"


def _security_options() -> list[str]:
    """Return the options in Docker's notation: ``name=NAME,KEY=VALUE``."""
    apparmor = _read("/sys/module/apparmor/parameters/enabled") == "Y"
    options = ["name=apparmor"] if apparmor else []
    if "Seccomp:" in _read("/proc/self/status"):
        options.append("name=seccomp,profile=builtin")
    return [*options, "name=cgroupns"] if Path("/proc/self/ns/cgroup").exists() else options


def _has_file_system(name: str) -> bool:
    """Say whether the kernel mounts it now; a module may be loaded at its first use."""
    return any(line.split()[-1] == name for line in _read("/proc/filesystems").splitlines())


def _distribution(key: str) -> str:
    """Return a value of os-release(5); "" if it has none."""
    for line in _read("/etc/os-release").splitlines():
        if line.startswith(f"{key}="):
            return line.partition("=")[2].strip('"')
    return ""


def _is_one(path: str) -> bool:
    return _read(path) == "1"


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
