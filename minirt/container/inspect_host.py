"""What a container may use of the host, in the shape of ``docker inspect``: its HostConfig."""

from __future__ import annotations

from typing import Any

from minirt.container import published
from minirt.container.record import HostConfig, Mount, Record
from minirt.container.templates.values import OpenMap


def document(one: Record) -> dict[str, Any]:
    """Return "HostConfig" as ``docker inspect`` shows it."""
    host = one.host
    swap = host.memory_swap or 2 * host.memory
    return {
        "Binds": [_bind(mount) for mount in one.mounts] or None,
        "LogConfig": {"Type": host.log_driver, "Config": {}},
        "NetworkMode": host.network_mode,
        "PortBindings": published.requests(one),
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        "AutoRemove": host.auto_remove,
        "CapAdd": host.cap_add or None,
        "CapDrop": host.cap_drop or None,
        "Dns": host.dns,
        "DnsOptions": host.dns_options,
        "DnsSearch": host.dns_search,
        "ExtraHosts": host.extra_hosts or None,
        "GroupAdd": host.group_add or None,
        "Privileged": host.privileged,
        "PublishAllPorts": host.publish_all,
        "ReadonlyRootfs": host.read_only,
        "SecurityOpt": host.security_opt or None,
        "Tmpfs": OpenMap(host.tmpfs) or None,
        "ShmSize": host.shm_size,
        "Sysctls": OpenMap(host.sysctls),
        "Memory": host.memory,
        "MemorySwap": swap,
        "NanoCpus": host.nano_cpus,
        "PidsLimit": host.pids_limit or None,
        "Ulimits": [
            {"Name": limit["name"], "Hard": limit["hard"], "Soft": limit["soft"]}
            for limit in host.ulimits
        ],
        "Init": host.init,
        **_shared(host),
        **_limits(host),
    }


def _shared(host: HostConfig) -> dict[str, Any]:
    """Return what it has of the host, and of other containers."""
    return {
        "VolumesFrom": host.volumes_from or None,
        "PidMode": host.pid_mode,
        "IpcMode": host.ipc_mode,
        "UTSMode": host.uts_mode,
        "CgroupnsMode": host.cgroupns_mode,
        "UsernsMode": host.userns_mode,
        "Cgroup": "",
        "Annotations": OpenMap(host.annotations) or None,
        "Devices": [
            {
                "PathOnHost": one["host"],
                "PathInContainer": one["inside"],
                "CgroupPermissions": one["access"],
            }
            for one in host.devices
        ],
        "DeviceCgroupRules": host.device_cgroup_rules or None,
    }


def _limits(host: HostConfig) -> dict[str, Any]:
    return {
        "MemoryReservation": host.memory_reservation,
        "CpuShares": host.cpu_shares,
        "CpusetCpus": host.cpuset_cpus,
        "CpusetMems": host.cpuset_mems,
        "BlkioWeight": host.blkio_weight,
        "OomKillDisable": host.oom_kill_disable,
        "OomScoreAdj": host.oom_score_adj,
        "CgroupParent": host.cgroup_parent,
    }


def _bind(mount: Mount) -> str:
    return f"{mount.name or mount.source}:{mount.destination}:{'ro' if mount.read_only else 'rw'}"
