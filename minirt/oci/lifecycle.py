"""What a container is doing, and how all of it is undone (runtime.md, "State", "Lifecycle").

Nobody writes down that a container runs. The runtime isn't the parent of its init, and no
daemon watches it: so the process table is asked, every time.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minirt.errors import Conflict, kernel_refused
from minirt.kernel import processes
from minirt.kernel.steps import step
from minirt.oci import OCI_VERSION, groups, log, records
from minirt.oci.records import Record

if TYPE_CHECKING:
    from minirt.runtime import hooks

_PATIENCE = 10.0  # seconds that a killed process may need: it may wait for a disk


def init_of(record: Record) -> int | None:
    """Open a descriptor of its init (pidfd_open(2)); None if that is dead, or a zombie."""
    if not record.pid:
        return None
    try:
        pidfd = processes.open_pidfd(record.pid, record.born)
    except (ProcessLookupError, OSError):
        return None
    if processes.wait_until_dead(pidfd, 0):  # A zombie is dead for everybody but its parent.
        os.close(pidfd)
        return None
    return pidfd


def status(record: Record) -> str:
    """Return creating, created, running, paused or stopped."""
    if records.is_being_created(record.id):
        return "creating"
    pidfd = init_of(record)
    if pidfd is None:
        return "stopped"
    os.close(pidfd)
    group = groups.of(record.cgroup)
    if group and groups.is_frozen(group):
        return "paused"
    return "created" if record.gate.exists() else "running"


def document(record: Record, now: str = "") -> dict[str, Any]:
    """Return the state as JSON has it (runtime.md, "State"), in runc's order."""
    now = now or status(record)
    return {
        "ociVersion": OCI_VERSION,
        "id": record.id,
        "pid": 0 if now == "stopped" else record.pid,
        "status": now,
        "bundle": record.bundle,
        "rootfs": record.rootfs,
        "created": record.created,
    }


def living(record: Record) -> int:
    """Open a descriptor of the init of a container that lives. Raises Conflict."""
    pidfd = init_of(record)
    if pidfd is None:
        raise Conflict("container not running")
    return pidfd


def hook_state(record: Record, now: str, pid: int) -> hooks.State:
    """Return what hooks are told."""
    from minirt.runtime import hooks

    return hooks.State(record.id, now, pid, Path(record.bundle), record.annotations)


def destroy(record: Record) -> None:
    """Kill all that is left of a container, and remove its cgroup and its files.

    Can be called again after it was interrupted. Raises KernelRefused.
    """
    try:
        config: Any = record.config()
    except (OSError, ValueError):
        config = {}
    group = groups.of(record.cgroup)
    try:
        _kill(record)
        if record.unit:
            from minirt.oci import systemd

            systemd.stop(record.unit, record.description)
        if group:
            groups.remove(group, record.made)
        if _shares_mounts(config):
            from minirt.runtime import shared_mounts

            shared_mounts.detach(record.rootfs, record.id)
    except OSError as error:
        raise kernel_refused(f"cannot delete container {record.id}", error) from error
    records.remove(record.id)
    _run_poststop_hooks(record, config)


def _shares_mounts(config: Any) -> bool:
    """Say whether a config.json that was obeyed has no new mount namespace."""
    if not isinstance(config, dict):
        return False
    kinds = (config.get("linux") or {}).get("namespaces") or ()
    return bool(config) and not any(
        one.get("type") == "mount" and not one.get("path") for one in kinds
    )


def _kill(record: Record) -> None:
    group, pidfd = groups.of(record.cgroup), init_of(record)
    if group and any(one.path.exists() for one in group.folders):
        group.kill()
    if pidfd is not None:
        with step("kill init", "kill", "-KILL", record.pid):
            try:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            except ProcessLookupError:
                pass
        above = group.frozen_above() if group else None
        dead = processes.wait_until_dead(pidfd, 0 if above else _PATIENCE)
        os.close(pidfd)
        if not dead and above:
            why = f"the cgroup {above} is frozen, and what is frozen there does not die"
            remedy = "Thaw that one, then delete the container again."
            raise Conflict(f"cannot delete container {record.id}", why, remedy)
        if not dead:
            raise TimeoutError(110, "its init does not die")


def _run_poststop_hooks(record: Record, config: Any) -> None:
    """Run them; what goes wrong there no longer concerns the container."""
    if not (isinstance(config, dict) and (config.get("hooks") or {}).get("poststop")):
        return
    from minirt.runtime import hooks, reader

    wanted = reader.read(config).hooks.poststop
    for failure in hooks.run_all("poststop", wanted, hook_state(record, "stopped", 0)):
        log.warning(str(failure))
