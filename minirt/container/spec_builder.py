"""From a record to the OCI config.json that the runtime obeys (runtime-spec, config.md)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from minirt.container import defaults, record, rights
from minirt.container.record import Config, HostConfig, Mount, Record
from minirt.errors import InvalidRequest

OCI_VERSION = "1.2.0"
INIT_INSIDE = "/sbin/docker-init"  # where Docker's users look for it
CPU_PERIOD = 100_000  # microseconds: the kernel's default (sched-bwc.rst)
# Files of a container's own folder that it sees in /etc; written anew at every start.
OWN_FILES = ("resolv.conf", "hostname", "hosts")


def build(one: Record, namespaces: dict[str, str], files: Path) -> dict[str, Any]:
    """Return the config.json of a container.

    ``namespaces`` tells for each kind of namespace of its own "", or the path of one to join;
    those of the host are left out. ``files`` is the folder with its :data:`OWN_FILES`.
    Raises InvalidRequest.
    """
    config, host = one.config, one.host
    allowed = rights.granted(host)
    privileged = host.privileged
    return {
        "ociVersion": OCI_VERSION,
        "hostname": config.hostname if "uts" in namespaces else "",
        "domainname": config.domainname,
        "root": {
            "path": str(record.run_directory(one.id) / "rootfs"),
            "readonly": host.read_only,
        },
        "process": _process(config, host, allowed),
        "mounts": [*_mounts(one, files)],
        "annotations": {"org.minirt.name": one.name, "org.minirt.image": one.image},
        "linux": {
            "namespaces": [
                {"type": kind, **({"path": path} if path else {})}
                for kind, path in namespaces.items()
            ],
            "resources": _resources(host),
            "devices": [*_devices()] if privileged else [],
            "sysctl": _sysctls(host, namespaces),
            "cgroupsPath": record.cgroup_name(one),
            "maskedPaths": [] if privileged else list(defaults.MASKED_PATHS),
            "readonlyPaths": [] if privileged else list(defaults.READONLY_PATHS),
            "seccomp": rights.seccomp(host, allowed),
        },
    }


def _process(config: Config, host: HostConfig, allowed: list[str]) -> dict[str, Any]:
    args = [*config.entrypoint, *config.command]
    if not args:
        raise InvalidRequest("There is nothing to run", "the image names no command", "Give one.")
    if host.init:
        args = [INIT_INSIDE, "--", *args]
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
    }


def environment(config: Config) -> list[str]:
    """Return the environment in Docker's order; of two lines for one name the last one counts."""
    lines = [defaults.PATH, f"HOSTNAME={config.hostname}"]
    lines += ["TERM=xterm"] if config.tty else []
    known: dict[str, str] = {}
    for line in [*lines, *config.env]:
        known[line.partition("=")[0]] = line
    return list(known.values())


def _mounts(one: Record, files: Path) -> Iterator[dict[str, Any]]:
    host = one.host
    wanted = {mount.destination for mount in one.mounts} | set(host.tmpfs)
    for default in defaults.mounts(host.shm_size, privileged=host.privileged):
        if default["destination"] not in wanted:  # What the operator mounts there replaces it.
            yield default
    for name in OWN_FILES:
        if f"/etc/{name}" not in wanted:
            source = str(files / name)
            yield _bind(Mount("bind", source, f"/etc/{name}"))
    for destination, mount in sorted(_chosen(one), key=lambda pair: _depth(pair[0])):
        yield {"destination": destination, **mount}


def _chosen(one: Record) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what the operator asked for, and --init."""
    for mount in one.mounts:
        yield mount.destination, _bind(mount)
    for path, text in one.host.tmpfs.items():
        options = ["nosuid", "nodev", "noexec", *filter(None, text.split(","))]
        yield path, {"type": "tmpfs", "source": "tmpfs", "options": options}
    if one.host.init:
        yield INIT_INSIDE, _bind(Mount("bind", init_program(), INIT_INSIDE, read_only=True))


def _bind(mount: Mount) -> dict[str, Any]:
    options = ["rbind", mount.propagation, "ro" if mount.read_only else "rw", *mount.options]
    return {
        "destination": mount.destination,
        "type": "bind",
        "source": mount.source,
        "options": options,
    }


def _depth(path: str) -> int:
    return len(PurePosixPath(path).parts)


def init_program() -> str:
    """Return a static init for ``--init``. Raises InvalidRequest."""
    for name in ("tini-static", "docker-init", "catatonit"):
        found = shutil.which(name) or shutil.which(name, path="/usr/libexec/podman")
        if found:
            return found
    raise InvalidRequest("Cannot use --init", "there is no init", "apt install tini.")


def _resources(host: HostConfig) -> dict[str, Any]:
    resources: dict[str, Any] = {"devices": defaults.device_rules(privileged=host.privileged)}
    if host.memory:
        swap = host.memory_swap or 2 * host.memory
        resources["memory"] = {"limit": host.memory, "swap": swap}
    if host.nano_cpus:
        quota = host.nano_cpus * CPU_PERIOD // 1_000_000_000
        resources["cpu"] = {"period": CPU_PERIOD, "quota": quota}
    if host.pids_limit > 0:
        resources["pids"] = {"limit": host.pids_limit}
    return resources


def _sysctls(host: HostConfig, namespaces: dict[str, str]) -> dict[str, str]:
    own_network = namespaces.get("network") == ""
    return {**(defaults.SYSCTLS if own_network else {}), **host.sysctls}


def _devices() -> Iterator[dict[str, Any]]:
    """Every device node of the host: what ``--privileged`` means."""
    for place, folders, names in os.walk("/dev"):
        if place == "/dev":
            folders[:] = [one for one in folders if one not in ("pts", "shm", "mqueue", "fd")]
        for name in names:
            path = Path(place) / name
            found = path.lstat()
            if path.is_symlink() or not (path.is_char_device() or path.is_block_device()):
                continue
            yield {
                "path": str(path),
                "type": "c" if path.is_char_device() else "b",
                "major": os.major(found.st_rdev),
                "minor": os.minor(found.st_rdev),
                "fileMode": found.st_mode & 0o7777,
                "uid": found.st_uid,
                "gid": found.st_gid,
            }
