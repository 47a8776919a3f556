"""The limits of a container, as linux.resources has them (config-linux.md, "Control groups")."""

from __future__ import annotations

from typing import Any

from minirt.container.record import HostConfig

CPU_PERIOD = 100_000  # microseconds: the kernel's default (sched-bwc.rst)


def limits(host: HostConfig) -> dict[str, Any]:
    """Return linux.resources, but for the devices; what is not limited is left out."""
    parts: dict[str, dict[str, Any]] = {
        "memory": {
            "limit": host.memory,
            "swap": host.memory and (host.memory_swap or 2 * host.memory),
            "reservation": host.memory_reservation,
            "disableOOMKiller": host.oom_kill_disable,
        },
        "cpu": {
            "shares": host.cpu_shares,
            "period": host.nano_cpus and CPU_PERIOD,
            "quota": host.nano_cpus * CPU_PERIOD // 1_000_000_000,
            "cpus": host.cpuset_cpus,
            "mems": host.cpuset_mems,
        },
        "pids": {"limit": max(host.pids_limit, 0)},
        "blockIO": {"weight": host.blkio_weight},
    }
    set_ones = {
        name: {key: value for key, value in part.items() if value} for name, part in parts.items()
    }
    return {name: part for name, part in set_ones.items() if part}
