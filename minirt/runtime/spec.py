"""An OCI config.json in types: what ``runtime.reader`` made of it, and the rest obeys.

Source: OCI runtime-spec 1.2, config.md and config-linux.md; each class names its section.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minirt.kernel.mounts import Propagation
from minirt.kernel.namespaces import Namespace, together
from minirt.kernel.scheduling import Scheduler
from minirt.kernel.user_namespaces import IdMapping

if TYPE_CHECKING:
    from minirt.kernel.numa import MemoryPolicy

OCI_VERSION = "1.2.0"

# config-linux.md, "Namespaces"
NAMESPACES = {
    "mount": Namespace.MOUNT,
    "pid": Namespace.PID,
    "network": Namespace.NET,
    "ipc": Namespace.IPC,
    "uts": Namespace.UTS,
    "cgroup": Namespace.CGROUP,
    "time": Namespace.TIME,
    "user": Namespace.USER,
}


@dataclass(frozen=True, slots=True)
class Root:
    """config.md, "Root"."""

    path: Path
    readonly: bool = False


@dataclass(frozen=True, slots=True)
class User:
    """config.md, "POSIX-platform User".

    ``keeps_groups``: the process keeps the supplementary groups of the runtime's caller instead of
    getting ``additional_gids``.
    """

    uid: int = 0
    gid: int = 0
    additional_gids: tuple[int, ...] = ()
    umask: int = 0o022
    keeps_groups: bool = False


@dataclass(frozen=True, slots=True)
class Capabilities:
    """config.md, "Linux Process": five sets of names like CAP_CHOWN.

    ``unknown`` are names that are in one of the sets and mean nothing; the sets go without them.
    """

    bounding: tuple[str, ...] = ()
    effective: tuple[str, ...] = ()
    permitted: tuple[str, ...] = ()
    inheritable: tuple[str, ...] = ()
    ambient: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rlimit:
    """config.md, "POSIX process": ``kind`` is RLIMIT_NOFILE or another of setrlimit(2)."""

    kind: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True)
class Process:
    """config.md, "Process". ``console_size`` is rows, columns."""

    args: tuple[str, ...]
    cwd: str = "/"
    env: tuple[str, ...] = ()
    terminal: bool = False
    console_size: tuple[int, int] | None = None
    user: User = User()
    capabilities: Capabilities = Capabilities()
    rlimits: tuple[Rlimit, ...] = ()
    no_new_privileges: bool = False
    oom_score_adj: int | None = None
    io_priority: tuple[int, int] | None = None  # class and level, ioprio_set(2)
    scheduler: Scheduler | None = None
    apparmor_profile: str = ""
    selinux_label: str = ""

    @property
    def is_labelled(self) -> bool:
        """Say whether a security module is to confine it."""
        return bool(self.apparmor_profile or self.selinux_label)


@dataclass(frozen=True, slots=True)
class Mount:
    """config.md, "Mounts"."""

    destination: str
    kind: str = ""
    source: str = ""
    options: tuple[str, ...] = ()
    uid_mappings: tuple[IdMapping, ...] = ()
    gid_mappings: tuple[IdMapping, ...] = ()
    inside: str = ""  # the source as a path in the root, if an earlier mount may cover it
    label: str = ""  # for its root: of one that there is already, it is no option (mqueue)

    @property
    def place(self) -> str:
        """The destination as an absolute path without "." and needless slashes."""
        return os.path.normpath("/" + self.destination.lstrip("/"))

    @property
    def is_bind(self) -> bool:
        """Say whether it shows what is there, rather than a file system made for it."""
        return self.kind == "bind" or bool({"bind", "rbind"} & set(self.options))

    @property
    def is_idmapped(self) -> bool:
        """Say whether its files are to be shown with other owners."""
        return bool(self.uid_mappings or {"idmap", "ridmap"} & set(self.options))


@dataclass(frozen=True, slots=True)
class Device:
    """config-linux.md, "Devices": ``kind`` is "c", "b" or "p"."""

    path: str
    kind: str
    major: int = 0
    minor: int = 0
    mode: int = 0o666
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class Hook:
    """config.md, "POSIX-platform Hooks". ``env`` None: the caller's; ``timeout`` in seconds."""

    path: str
    args: tuple[str, ...] = ()
    env: tuple[str, ...] | None = None
    timeout: int | None = None


@dataclass(frozen=True, slots=True)
class Hooks:
    """What runs at which point of the lifecycle, config.md, "POSIX-platform Hooks"."""

    prestart: tuple[Hook, ...] = ()
    create_runtime: tuple[Hook, ...] = ()
    create_container: tuple[Hook, ...] = ()
    start_container: tuple[Hook, ...] = ()
    poststart: tuple[Hook, ...] = ()
    poststop: tuple[Hook, ...] = ()


@dataclass(frozen=True, slots=True)
class Spec:
    """One container, as config.json describes it."""

    root: Root
    process: Process
    hostname: str = ""
    domainname: str = ""
    mounts: tuple[Mount, ...] = ()
    namespaces: Mapping[Namespace, str] = field(default_factory=dict)  # path to join; "": new
    devices: tuple[Device, ...] = ()
    resources: Mapping[str, Any] = field(default_factory=dict)
    sysctl: Mapping[str, str] = field(default_factory=dict)
    masked_paths: tuple[str, ...] = ()
    mount_label: str = ""  # the reader has given it to the mounts
    readonly_paths: tuple[str, ...] = ()
    rootfs_propagation: Propagation = Propagation.NONE
    seccomp: Mapping[str, Any] | None = None
    cgroups_path: str = ""
    hooks: Hooks = Hooks()
    annotations: Mapping[str, str] = field(default_factory=dict)
    uid_mappings: tuple[IdMapping, ...] = ()
    gid_mappings: tuple[IdMapping, ...] = ()
    personality: int | None = None
    memory_policy: MemoryPolicy | None = None
    time_offsets: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # s, ns by clock

    @property
    def has_own_ids(self) -> bool:
        """Say whether it is in a user namespace, a new one or another's."""
        return Namespace.USER in self.namespaces

    @property
    def shares_mounts(self) -> bool:
        """Say whether its mount namespace exists already, the caller's or one given by its path."""
        return self.namespaces.get(Namespace.MOUNT) != ""

    def new_namespaces(self) -> Namespace:
        """Return the kinds that are made for it."""
        return together(kind for kind, path in self.namespaces.items() if not path)
