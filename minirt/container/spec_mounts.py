"""What is mounted in a container, as config.json lists it (config.md, "Mounts")."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from minirt.container import defaults, sharing
from minirt.container.record import HostConfig, Mount, Record
from minirt.errors import InvalidRequest
from minirt.kernel import mount_info
from minirt.runtime.mount_options import OWN_FILE

INIT_INSIDE = "/sbin/docker-init"  # where Docker's users look for it
SHM = "/dev/shm"
# Files of a container's own folder that it sees in /etc; written anew at every start. As with
# Docker they are read-only with --read-only, and also lie in a volume or a tmpfs at /etc.
OWN_FILES = ("resolv.conf", "hostname", "hosts")


def table(one: Record, files: Path) -> Iterator[dict[str, Any]]:
    """Yield the mounts in their order; ``files`` is the folder with its :data:`OWN_FILES`.

    Raises InvalidRequest.
    """
    wanted = {mount.destination for mount in one.mounts} | set(one.host.tmpfs)
    for default in _defaults(one.host):
        if default["destination"] not in wanted:  # What the operator mounts there replaces it.
            yield default
    chosen = [*_chosen(one)]
    for name in OWN_FILES:
        path = f"/etc/{name}"
        if path not in wanted:
            read_only, options = one.host.read_only, [OWN_FILE]
            own = Mount("bind", str(files / name), path, read_only=read_only, options=options)
            chosen.append((path, bind(own)))
    # A folder before what lies in it: a volume at /etc must not hide /etc/hosts.
    for destination, mount in sorted(chosen, key=lambda pair: _depth(pair[0])):
        yield {"destination": destination, **mount}


def _defaults(host: HostConfig) -> Iterator[dict[str, Any]]:
    """Yield what every container has; who shares an IPC namespace shares the memory, too."""
    for one in defaults.mounts(host.shm_size, privileged=host.privileged):
        path = one["destination"]
        if path != SHM:
            yield one
        elif host.ipc_mode == "host" or sharing.container_of(host.ipc_mode):
            options = ["rbind", "rprivate", "rw", "nosuid", "noexec", "nodev"]
            yield {"destination": path, "type": "bind", "source": path, "options": options}
        elif host.ipc_mode != "none":
            yield one


def _chosen(one: Record) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what the operator asked for, and --init."""
    for mount in one.mounts:
        _check_propagation(mount)
        yield mount.destination, bind(mount)
    for path, text in one.host.tmpfs.items():
        options = ["nosuid", "nodev", "noexec", *filter(None, text.split(","))]
        yield path, {"type": "tmpfs", "source": "tmpfs", "options": options}
    if one.host.init:
        program = Mount("bind", init_program(), INIT_INSIDE, read_only=True, options=[OWN_FILE])
        yield INIT_INSIDE, bind(program)


def bind(mount: Mount) -> dict[str, Any]:
    """Return a bind or a volume as config.json has it."""
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


def _check_propagation(mount: Mount) -> None:
    """Refuse to pass on mounts that don't reach the source (mount_namespaces(7)).

    Raises InvalidRequest, in Docker's words.
    """
    kind = mount.propagation.removeprefix("r")
    if kind == "private":
        return
    path = os.path.realpath(mount.source)
    found = mount_info.around(path)
    if found.shared or (kind == "slave" and found.master):
        return
    wanted = "a shared mount" if kind == "shared" else "a shared or slave mount"
    why = f"path {path} is mounted on {found.place} but it is not {wanted}"
    remedy = f"mount --make-shared {found.place}"
    raise InvalidRequest(f"Cannot mount {mount.source} with {mount.propagation}", why, remedy)
