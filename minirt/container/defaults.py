"""What every container gets unless told otherwise: Docker's defaults, which images expect."""

from __future__ import annotations

from typing import Any

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# What root in a container may do: capabilities(7), less all that reaches outside of it.
CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
)

# Files that tell about the host, or that change it: hidden …
MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
# … or shown, and not to be written.
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

# A process of the container may use low ports and ping without capabilities: nobody else
# lives in its network namespace whom that could hurt (ip(7), icmp(7)).
SYSCTLS = {
    "net.ipv4.ip_unprivileged_port_start": "0",
    "net.ipv4.ping_group_range": "0 2147483647",
}

_NO_EXEC = ["nosuid", "noexec", "nodev"]


def mounts(shm_size: int, *, privileged: bool = False) -> list[dict[str, Any]]:
    """Return the mounts that config-linux.md, "Default Filesystems", and programs expect.

    ``shm_size`` is in bytes. Only a privileged container may write to /sys and its cgroups.
    """
    writable = "rw" if privileged else "ro"
    shm = [*_NO_EXEC, "mode=1777", f"size={shm_size}"]
    pts = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]
    rows = [
        ("/proc", "proc", "proc", _NO_EXEC),
        ("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        ("/dev/pts", "devpts", "devpts", pts),
        ("/sys", "sysfs", "sysfs", [*_NO_EXEC, writable]),
        ("/sys/fs/cgroup", "cgroup", "cgroup", [*_NO_EXEC, writable]),
        ("/dev/mqueue", "mqueue", "mqueue", _NO_EXEC),
        ("/dev/shm", "tmpfs", "shm", shm),
    ]
    return [
        {"destination": destination, "type": kind, "source": source, "options": options}
        for destination, kind, source, options in rows
    ]


# Devices of Linux's documentation, admin-guide/devices.txt: (type, major, minor, access).
# None is "any". Nodes of every device may be made (m), few may be opened.
DEVICE_RULES = (
    ("c", None, None, "m"),
    ("b", None, None, "m"),
    ("c", 1, 3, "rwm"),  # null
    ("c", 1, 5, "rwm"),  # zero
    ("c", 1, 7, "rwm"),  # full
    ("c", 1, 8, "rwm"),  # random
    ("c", 1, 9, "rwm"),  # urandom
    ("c", 5, 0, "rwm"),  # tty
    ("c", 5, 1, "rwm"),  # console
    ("c", 5, 2, "rwm"),  # ptmx
    ("c", 136, None, "rwm"),  # pseudoterminals
)


def device_rules(*, privileged: bool) -> list[dict[str, Any]]:
    """Return the device rules of config-linux.md, "Allowed Device list"."""
    if privileged:
        return [{"allow": True, "access": "rwm"}]
    rules: list[dict[str, Any]] = [{"allow": False, "access": "rwm"}]
    for kind, major, minor, access in DEVICE_RULES:
        numbers = {"major": major, "minor": minor}
        known = {key: value for key, value in numbers.items() if value is not None}
        rules.append({"allow": True, "type": kind, **known, "access": access})
    return rules
