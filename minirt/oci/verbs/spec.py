"""``minirt-oci spec``: a config.json to begin with."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from minirt.errors import InvalidRequest
from minirt.kernel import cgroups
from minirt.oci.words import Asked
from minirt.runtime.spec import OCI_VERSION

_CAPABILITIES = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
_SAFE = ["nosuid", "noexec", "nodev"]
_MOUNTS: tuple[tuple[str, str, str, list[str]], ...] = (
    ("/proc", "proc", "proc", []),
    ("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
    (
        "/dev/pts",
        "devpts",
        "devpts",
        ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    ),
    ("/dev/shm", "tmpfs", "shm", [*_SAFE, "mode=1777", "size=65536k"]),
    ("/dev/mqueue", "mqueue", "mqueue", _SAFE),
    ("/sys", "sysfs", "sysfs", [*_SAFE, "ro"]),
    ("/sys/fs/cgroup", "cgroup", "cgroup", [*_SAFE, "relatime", "ro"]),
)
_MASKED = (
    *("/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats"),
    *("/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware"),
    "/proc/scsi",
)
_READONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def run(asked: Asked) -> int:
    """Write it into the bundle's folder. Raises InvalidRequest if there is one."""
    file = Path(asked.text("bundle") or ".") / asked.text("file", "config.json")
    text = json.dumps(template(rootless=asked.flag("rootless")), indent="\t") + "\n"
    try:
        with file.open("x", encoding="utf-8") as made:
            made.write(text)
    except FileExistsError:
        why = "remove it first"
        raise InvalidRequest(f"file {file.name} exists", why) from None
    except OSError as error:
        raise InvalidRequest(f"cannot write {file}", os.strerror(error.errno or 0)) from error
    return 0


def template(*, rootless: bool) -> dict[str, Any]:
    """Return a config for a shell at a terminal: what ``runc spec`` writes on this machine.

    With cgroup version 1 it has no cgroup namespace, so that callers may add one.
    """
    kinds = ["pid", "network", "ipc", "uts", "mount"]
    if all(one.version == 2 for one in cgroups.mounted()):
        kinds.append("cgroup")
    config: dict[str, Any] = {
        "ociVersion": OCI_VERSION,
        "process": {
            "terminal": True,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": [
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "TERM=xterm",
            ],
            "cwd": "/",
            "capabilities": {
                name: _CAPABILITIES for name in ("bounding", "effective", "permitted", "ambient")
            },
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "minirt",
        "mounts": [
            {"destination": place, "type": kind, "source": source}
            | ({"options": options} if options else {})
            for place, kind, source, options in _MOUNTS
        ],
        "linux": {
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            "namespaces": [{"type": kind} for kind in kinds],
            "maskedPaths": list(_MASKED),
            "readonlyPaths": list(_READONLY),
        },
    }
    return _in_user_namespace(config) if rootless else config


def _in_user_namespace(config: dict[str, Any]) -> dict[str, Any]:
    """Map root to the user that calls, without limits: those take the rights of root."""
    linux = config["linux"]
    del linux["resources"]
    linux["namespaces"] = [one for one in linux["namespaces"] if one["type"] != "network"]
    linux["namespaces"].append({"type": "user"})
    linux["uidMappings"] = [{"containerID": 0, "hostID": os.geteuid(), "size": 1}]
    linux["gidMappings"] = [{"containerID": 0, "hostID": os.getegid(), "size": 1}]
    for one in config["mounts"]:
        if "options" in one:
            one["options"] = [option for option in one["options"] if option != "gid=5"]
    config["mounts"] = [
        {**one, "type": "none", "source": "/sys", "options": ["rbind", *_SAFE, "ro"]}
        if one["destination"] == "/sys"
        else one
        for one in config["mounts"]
    ]
    return config
