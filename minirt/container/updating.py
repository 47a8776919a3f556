"""``update``: other limits for a container, at once if it runs, and at its next start."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from minirt.container import alive, lifecycle, record, spec_resources
from minirt.container.changing import changing
from minirt.container.flags import limits
from minirt.container.flags.typed import Flags
from minirt.container.record import HostConfig, Record
from minirt.errors import InvalidRequest
from minirt.runtime import resources

# The flag, and the field of HostConfig that it changes.
FIELDS = {
    "memory": "memory",
    "memory_swap": "memory_swap",
    "memory_reservation": "memory_reservation",
    "cpus": "nano_cpus",
    "cpu_shares": "cpu_shares",
    "cpuset_cpus": "cpuset_cpus",
    "cpuset_mems": "cpuset_mems",
    "pids_limit": "pids_limit",
    "blkio_weight": "blkio_weight",
}


def check(asked: dict[str, Any]) -> None:
    """Raise BadFlag for an amount that cannot be read, before any container is looked for."""
    for flag in ("memory", "memory_swap", "memory_reservation"):
        if asked.get(flag, "-1") != "-1":
            limits.size(asked[flag], f"--{flag.replace('_', '-')}")
    limits.nano_cpus(asked.get("cpus", ""))


def update(reference: str, asked: dict[str, Any]) -> None:
    """Change the limits that ``asked`` has, by the names of their flags; keep the others.

    Raises NotFound; InvalidRequest if the kernel doesn't take one: then nothing is written down.
    """
    with changing(lifecycle.find(reference)) as one:
        host = _changed(one.host, asked)
        if alive.is_held(one.id):
            _apply(one, host, asked)
        record.save(replace(one, host=host))


def _apply(one: Record, host: HostConfig, asked: dict[str, Any]) -> None:
    wanted = spec_resources.limits(host)
    if "pids_limit" in asked and not host.pids_limit:
        wanted["pids"] = {"limit": -1}
    resources.apply(lifecycle.group_of(one), wanted)


def _changed(host: HostConfig, asked: dict[str, Any]) -> HostConfig:
    typed = dict(asked)
    if "memory" not in asked and host.memory:  # what the others are compared with
        typed["memory"] = str(host.memory)
    new = limits.fields(Flags(image="", **typed))
    changes = {FIELDS[flag]: new[FIELDS[flag]] for flag in asked}
    swap = changes.get("memory_swap", host.memory_swap)
    if 0 < swap < changes.get("memory", 0):
        why = "memory limit should be smaller than already set memoryswap limit"
        raise InvalidRequest("Cannot update the memory limit", why, "Give --memory-swap too.")
    return replace(host, **changes)
