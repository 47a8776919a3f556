"""Which devices a container has, and which it may use (config-linux.md, "Devices")."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from minirt.container import defaults
from minirt.container.flags import devices
from minirt.container.record import HostConfig
from minirt.errors import InvalidRequest

# Folders of /dev that are file systems of their own, and not the machine's devices.
_OTHERS = ("pts", "shm", "mqueue", "fd", "hugepages")


def complete(host: HostConfig) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return linux.devices and linux.resources.devices. Raises InvalidRequest."""
    nodes = list(_below("/dev", "/dev")) if host.privileged else []
    rules = defaults.device_rules(privileged=host.privileged)
    for one in host.devices:
        found = list(_chosen(one["host"], one["inside"]))
        nodes += found
        rules += [
            {"allow": True, "access": one["access"]}
            | {key: node[key] for key in ("type", "major", "minor")}
            for node in found
        ]
    rules += [devices.parsed(text) for text in host.device_cgroup_rules]
    return nodes, rules


def _chosen(source: str, inside: str) -> Iterator[dict[str, Any]]:
    """Yield the device at ``source``, or all that are in that folder."""
    what = f'Cannot add the device "{source}"'
    try:
        found = Path(source).stat()  # where a symlink leads: /dev/disk/by-id/…
    except OSError as error:
        raise InvalidRequest(what, os.strerror(error.errno or 0)) from error
    if stat.S_ISDIR(found.st_mode):
        nodes = list(_below(os.path.realpath(source), inside))
        if not nodes:
            raise InvalidRequest(what, "there is no device in that folder")
        yield from nodes
    elif _is_device(found.st_mode):
        yield _node(inside, found)
    else:
        raise InvalidRequest(what, "not a device node")


def _below(folder: str, inside: str) -> Iterator[dict[str, Any]]:
    for place, folders, names in os.walk(folder):
        if place == "/dev":
            folders[:] = [one for one in folders if one not in _OTHERS]
        for name in names:
            path = Path(place) / name
            try:
                found = path.lstat()
            except FileNotFoundError:
                continue  # It was unplugged just now.
            if _is_device(found.st_mode):
                yield _node(str(Path(inside) / path.relative_to(folder)), found)


def _is_device(mode: int) -> bool:
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


def _node(path: str, found: os.stat_result) -> dict[str, Any]:
    return {
        "path": path,
        "type": "c" if stat.S_ISCHR(found.st_mode) else "b",
        "major": os.major(found.st_rdev),
        "minor": os.minor(found.st_rdev),
        "fileMode": found.st_mode & 0o7777,
        "uid": found.st_uid,
        "gid": found.st_gid,
    }
