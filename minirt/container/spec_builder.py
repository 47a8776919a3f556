"""From a record to the OCI config.json that the runtime obeys (runtime-spec, config.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from minirt.container import (
    defaults,
    record,
    rights,
    spec_devices,
    spec_mounts,
    spec_resources,
)
from minirt.container.record import Config, HostConfig, Record
from minirt.errors import InvalidRequest

OCI_VERSION = "1.2.0"


def build(one: Record, namespaces: dict[str, str], files: Path) -> dict[str, Any]:
    """Return the config.json of a container.

    ``namespaces`` tells for each kind of namespace of its own "", or the path of one to join;
    those of the host are left out. ``files`` is the folder with its files of /etc.
    Raises InvalidRequest.
    """
    config, host = one.config, one.host
    allowed = rights.granted(host)
    devices, rules = spec_devices.complete(host)
    shown = rights.sees_system_paths(host)
    has_own_name = namespaces.get("uts") == ""
    return {
        "ociVersion": OCI_VERSION,
        "hostname": config.hostname if has_own_name else "",
        "domainname": config.domainname if has_own_name else "",
        "root": {
            "path": str(record.run_directory(one.id) / "rootfs"),
            "readonly": host.read_only,
        },
        "process": _process(config, host, allowed),
        "mounts": [*spec_mounts.table(one, files)],
        "annotations": {
            "org.minirt.name": one.name,
            "org.minirt.image": one.image,
            **host.annotations,
        },
        "linux": {
            "namespaces": [
                {"type": kind, **({"path": path} if path else {})}
                for kind, path in namespaces.items()
            ],
            "resources": {"devices": rules, **spec_resources.limits(host)},
            "devices": devices,
            "sysctl": _sysctls(host, namespaces),
            "cgroupsPath": record.cgroup_name(one.id, one.host),
            "maskedPaths": [] if shown else list(defaults.MASKED_PATHS),
            "readonlyPaths": [] if shown else list(defaults.READONLY_PATHS),
            "seccomp": rights.seccomp(host, allowed),
        },
    }


def _process(config: Config, host: HostConfig, allowed: list[str]) -> dict[str, Any]:
    args = [*config.entrypoint, *config.command]
    if not args:
        raise InvalidRequest("There is nothing to run", "the image names no command", "Give one.")
    if host.init:
        args = [spec_mounts.INIT_INSIDE, "--", *args]
    profile = rights.apparmor(host)
    return {
        "terminal": config.tty,
        "user": {"uid": 0, "gid": 0},  # resolved inside the root file system, by init
        "args": args,
        "env": environment(config),
        "cwd": config.working_dir or "/",
        "capabilities": rights.sets(allowed),
        "rlimits": [
            {"type": f"RLIMIT_{one['name'].upper()}", "soft": one["soft"], "hard": one["hard"]}
            for one in host.ulimits
        ],
        "noNewPrivileges": rights.no_new_privileges(host),
        **({"oomScoreAdj": host.oom_score_adj} if host.oom_score_adj else {}),
        **({"apparmorProfile": profile} if profile else {}),
    }


def environment(config: Config) -> list[str]:
    """Return the environment in Docker's order; of two lines for one name the last one counts."""
    lines = [defaults.PATH, f"HOSTNAME={config.hostname}"]
    lines += ["TERM=xterm"] if config.tty else []
    known: dict[str, str] = {}
    for line in [*lines, *config.env]:
        known[line.partition("=")[0]] = line
    return list(known.values())


def _sysctls(host: HostConfig, namespaces: dict[str, str]) -> dict[str, str]:
    own_network = namespaces.get("network") == ""
    return {**(defaults.SYSCTLS if own_network else {}), **host.sysctls}
