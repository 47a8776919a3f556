"""Namespaces: leave them, enter them, hold them open (namespaces(7))."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from enum import IntFlag
from pathlib import Path

from minirt.kernel import libc
from minirt.kernel.steps import step

_NS_GET_USERNS = 0xB701  # include/uapi/linux/nsfs.h
_INITIAL_USER_NAMESPACE = 0xEFFFFFFD  # PROC_USER_INIT_INO, include/linux/proc_ns.h
# Distributions let these switches forbid new user namespaces to processes that lack CAP_SYS_ADMIN
# in the initial user namespace.
_USER_NAMESPACE_SWITCHES = (
    ("kernel.unprivileged_userns_clone", 0),  # Debian
    ("kernel.apparmor_restrict_unprivileged_userns", 1),  # Ubuntu
)


class Namespace(IntFlag):
    """The CLONE_NEW* flags of include/uapi/linux/sched.h."""

    TIME = 0x0000_0080
    MOUNT = 0x0002_0000
    CGROUP = 0x0200_0000
    UTS = 0x0400_0000
    IPC = 0x0800_0000
    USER = 0x1000_0000
    PID = 0x2000_0000
    NET = 0x4000_0000


def together(kinds: Iterable[Namespace]) -> Namespace:
    """Return several kinds as one value; with ``|`` each step would make one, in 30 µs."""
    return Namespace(sum(map(int, set(kinds))))


def option(kind: Namespace) -> str:
    """Return the option that unshare(1) and nsenter(1) have for a kind of namespace."""
    return f"--{(kind.name or '').lower()}"


def unshare(kinds: Namespace) -> None:
    """Move the calling process into new namespaces of these kinds."""
    options = [option(kind) for kind in Namespace if kind in kinds]
    with step("leave the namespaces of the parent", "unshare", *options):
        try:
            libc.unshare(kinds)
        except OSError as error:
            raise refusal(error, kinds) from None


def refusal(error: OSError, kinds: Namespace) -> OSError:
    """Return an error that names the cause, after clone3(2) or unshare(2) made no such namespaces.

    The kernel reports an exceeded limit as ENOSPC, "No space left on device", and a switch that
    forbids user namespaces as EPERM. The returned error has the same number, and its words name the
    file of /proc/sys (namespaces(7)). It is ``error`` itself where no such file explains it.
    """
    reasons = {
        errno.EINVAL: _missing_kinds,
        errno.ENOSPC: _exceeded_limits,
        errno.EPERM: _forbidding_switches,
    }
    reason = reasons[error.errno](kinds) if error.errno in reasons else ""
    return OSError(error.errno, reason) if reason else error


def _missing_kinds(kinds: Namespace) -> str:
    missing = [name for name in _proc_names(kinds) if not Path(f"/proc/self/ns/{name}").exists()]
    return f"this kernel has no {' and no '.join(missing)} namespaces" if missing else ""


def _exceeded_limits(kinds: Namespace) -> str:
    limits = {name: _sysctl(name) for name in map(_limit_of, _proc_names(kinds))}
    zeros = [f"{name}=10000" for name, value in limits.items() if value == 0]
    if zeros:
        return f"a limit of namespaces is 0. Raise it: sysctl -w {' '.join(zeros)}"
    if not limits:
        return ""
    values = ", ".join(f"{name} is {value}" for name, value in limits.items())
    return (
        f"there are as many namespaces as are allowed. Here {values}; an outer user namespace may "
        "have lower limits. User and PID namespaces can be nested 32 deep"
    )


def _forbidding_switches(kinds: Namespace) -> str:
    switches = _USER_NAMESPACE_SWITCHES if Namespace.USER in kinds else ()
    allowed = [f"{name}={1 - value}" for name, value in switches if _sysctl(name) == value]
    if not allowed:
        return ""
    return f"this host forbids user namespaces. Allow them there: sysctl -w {' '.join(allowed)}"


def _limit_of(name: str) -> str:
    return f"user.max_{name}_namespaces"


def _proc_names(kinds: Namespace) -> list[str]:
    """Return what /proc/self/ns and user.max_NAME_namespaces call these kinds."""
    return ["mnt" if kind is Namespace.MOUNT else option(kind)[2:] for kind in kinds]


def _sysctl(name: str) -> int | None:
    try:
        return int(Path("/proc/sys", name.replace(".", "/")).read_text())
    except (OSError, ValueError):
        return None


def set_time_offsets(offsets: Mapping[str, tuple[int, int]]) -> None:
    """Set off the clocks of the time namespace that this process has made, and enter it.

    By the name of the clock: seconds and nanoseconds (time_namespaces(7)). To wait for execve(2)
    is not enough: before Linux 6.3 it enters no time namespace.
    """
    text = "".join(f"{clock} {one} {more}\n" for clock, (one, more) in offsets.items())
    words = ("sh", "-c", f"echo '{text.strip()}' > /proc/self/timens_offsets")
    with step("set off the clocks", *words):
        fd = os.open("/proc/self/timens_offsets", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)
        made = os.open("/proc/self/ns/time_for_children", os.O_RDONLY | os.O_CLOEXEC)
        try:
            libc.setns(made, Namespace.TIME)
        finally:
            os.close(made)


@dataclass(frozen=True, slots=True)
class Netns:
    """A network namespace that is held open: ``path`` to name it, ``fd`` to use it."""

    path: str
    fd: int


@contextmanager
def network_of(pid: int | str) -> Iterator[Netns]:
    """Hold the network namespace of ``pid`` open for the body.

    An open descriptor keeps the namespace, and every link in it, alive after its
    last process died. Hence a context manager rather than a plain ``open``.
    """
    path = f"/proc/{pid}/ns/net"
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield Netns(path, fd)
    finally:
        os.close(fd)


def new_network() -> Netns:
    """Make a network namespace that nobody is in, and that is there until it is closed.

    Its part of /proc/sys is looked up, too: the first time costs 0.07 ms, and beside 500 others
    1.3, since the kernel has the names of all namespaces' folders in two chains.
    """
    with _and_back("net", Namespace.NET, lambda: libc.unshare(Namespace.NET)):
        for family in ("ipv4", "ipv6"):
            with suppress(FileNotFoundError):  # a kernel without IPv6
                os.stat(f"/proc/sys/net/{family}/conf")  # noqa: PTH116 - a Path is half of it
        fd = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    return Netns(f"/proc/self/fd/{fd}", fd)


def here() -> tuple[int, int]:
    """Return what tells this process, in its network namespace, from all that are there with it."""
    return os.getpid(), os.stat("/proc/self/ns/net").st_ino  # noqa: PTH116 - a magic link


def is_owned_by_initial_user_namespace(netns: Netns) -> bool:
    """Return whether the initial user namespace owns ``netns`` (ioctl_nsfs(2), NS_GET_USERNS)."""
    owner = fcntl.ioctl(netns.fd, _NS_GET_USERNS)
    try:
        return os.fstat(owner).st_ino == _INITIAL_USER_NAMESPACE
    finally:
        os.close(owner)


def inside(netns: Netns) -> AbstractContextManager[None]:
    """Run the body with the calling process in another network namespace."""
    return _and_back("net", Namespace.NET, lambda: libc.setns(netns.fd, Namespace.NET))


def children_born_after(enter: Callable[[], None]) -> AbstractContextManager[None]:
    """Let the children of the body be born in the PID namespace that ``enter`` enters."""
    return _and_back("pid_for_children", Namespace.PID, enter)


@contextmanager
def _and_back(name: str, kind: Namespace, enter: Callable[[], None]) -> Iterator[None]:
    """Enter a namespace for the body, then again what /proc/self/ns/NAME is now (namespaces(7))."""
    own = os.open(f"/proc/self/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter()
        try:
            yield
        finally:
            libc.setns(own, kind)
    finally:
        os.close(own)
