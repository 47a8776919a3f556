"""What a container may use of the host, in the shape of ``docker inspect``: its HostConfig."""

from __future__ import annotations

from typing import Any

from minirt.container import defaults, published, rights
from minirt.container.record import HostConfig, Record
from minirt.container.templates.structs import NIL_LIST, NIL_MAP, NIL_POINTER, Struct, struct
from minirt.container.templates.values import OpenMap

# Fields that the JSON leaves out where they are empty.
OMITTED = (
    *("Annotations", "KernelMemory", "KernelMemoryTCP", "Mounts"),
    *("StorageOpt", "Sysctls", "Tmpfs", "Init"),
)
# Limits and modes that Docker knows and minirt does not set; those of Windows among them.
ZEROS = (
    *("CpuPeriod", "CpuQuota", "CpuRealtimePeriod", "CpuRealtimeRuntime", "CpuCount", "CpuPercent"),
    *("IOMaximumIOps", "IOMaximumBandwidth", "KernelMemory", "KernelMemoryTCP"),
)
NO_DEVICES = (
    *("BlkioWeightDevice", "BlkioDeviceReadBps", "BlkioDeviceWriteBps"),
    *("BlkioDeviceReadIOps", "BlkioDeviceWriteIOps"),
)


def document(one: Record) -> Struct:
    """Return "HostConfig" as ``docker inspect`` shows it."""
    host = one.host
    swap = host.memory_swap or 2 * host.memory
    by_mount = {asked["Target"] for asked in host.mounts}
    tmpfs = {path: options for path, options in host.tmpfs.items() if path not in by_mount}
    fields = {
        "Binds": host.binds or NIL_LIST,
        "ContainerIDFile": host.cidfile,
        "LogConfig": struct({"Type": host.log_driver, "Config": OpenMap()}),
        "NetworkMode": host.network_mode,
        "PortBindings": published.requests(one),
        "RestartPolicy": struct({"Name": "no", "MaximumRetryCount": 0}),
        "AutoRemove": host.auto_remove,
        "VolumeDriver": "",
        "ConsoleSize": [0, 0],
        "CapAdd": host.cap_add or NIL_LIST,
        "CapDrop": host.cap_drop or NIL_LIST,
        "Dns": host.dns,
        "DnsOptions": host.dns_options,
        "DnsSearch": host.dns_search,
        "ExtraHosts": host.extra_hosts or NIL_LIST,
        "GroupAdd": host.group_add or NIL_LIST,
        "Links": NIL_LIST,
        "Privileged": host.privileged,
        "PublishAllPorts": host.publish_all,
        "ReadonlyRootfs": host.read_only,
        "SecurityOpt": host.security_opt or NIL_LIST,
        "StorageOpt": NIL_MAP,
        "Tmpfs": OpenMap(tmpfs) or NIL_MAP,
        "ShmSize": host.shm_size,
        "Sysctls": OpenMap(host.sysctls) or NIL_MAP,
        "Runtime": "minirt",
        "Isolation": "",
        "Memory": host.memory,
        "MemorySwap": swap,
        "MemorySwappiness": NIL_POINTER,
        "NanoCpus": host.nano_cpus,
        "PidsLimit": host.pids_limit or NIL_POINTER,
        "Ulimits": [
            {"Name": limit["name"], "Hard": limit["hard"], "Soft": limit["soft"]}
            for limit in host.ulimits
        ],
        "Mounts": [OpenMap(asked) for asked in host.mounts] or NIL_LIST,
        "Init": host.init or NIL_POINTER,
        **_shared(host),
        **_limits(host),
        **_paths(host),
    }
    return struct(fields, omit_empty=OMITTED)


def _shared(host: HostConfig) -> dict[str, Any]:
    """Return what it has of the host, and of other containers."""
    return {
        "VolumesFrom": host.volumes_from or NIL_LIST,
        "PidMode": host.pid_mode,
        "IpcMode": host.ipc_mode,
        "UTSMode": host.uts_mode,
        "CgroupnsMode": host.cgroupns_mode,
        "UsernsMode": host.userns_mode,
        "Cgroup": "",
        "Annotations": OpenMap(host.annotations) or NIL_MAP,
        "Devices": [
            {
                "PathOnHost": one["host"],
                "PathInContainer": one["inside"],
                "CgroupPermissions": one["access"],
            }
            for one in host.devices
        ],
        "DeviceCgroupRules": host.device_cgroup_rules or NIL_LIST,
        "DeviceRequests": NIL_LIST,
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
        **dict.fromkeys(ZEROS, 0),
        **{name: [] for name in NO_DEVICES},
    }


def _paths(host: HostConfig) -> dict[str, Any]:
    """Return the paths of /proc and /sys that are hidden, or can't be written."""
    if rights.sees_system_paths(host):
        return {"MaskedPaths": NIL_LIST, "ReadonlyPaths": NIL_LIST}
    return {
        "MaskedPaths": list(defaults.MASKED_PATHS),
        "ReadonlyPaths": list(defaults.READONLY_PATHS),
    }
