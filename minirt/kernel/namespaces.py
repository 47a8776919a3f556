"""Namespaces: leave them, enter them, hold them open (namespaces(7))."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from enum import IntFlag

from minirt.kernel import libc
from minirt.kernel.steps import step

_NS_GET_USERNS = 0xB701  # include/uapi/linux/nsfs.h
_INITIAL_USER_NAMESPACE = 0xEFFFFFFD  # PROC_USER_INIT_INO, include/linux/proc_ns.h


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
        libc.unshare(kinds)


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
