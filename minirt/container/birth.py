"""How a container's monitor is born, and what the command has it do until it is on its own."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass, replace
from typing import Any

from minirt.container import protocol, sharing
from minirt.container.life import Life
from minirt.container.monitor import main as be_monitor
from minirt.container.record import HostConfig
from minirt.errors import MinirtError, kernel_refused, unpack
from minirt.kernel import cgroups, clone, descriptors, inheritance, parcels, processes, steps
from minirt.kernel.cgroups import Cgroup
from minirt.kernel.clone import Child
from minirt.kernel.namespaces import Namespace
from minirt.kernel.steps import step
from minirt.runtime import birth, handshake
from minirt.runtime.handshake import Line
from minirt.runtime.plan import Plan

VERBS = frozenset({"run", "start", "restart"})  # what may start a container
_AT_ONCE = 64  # descriptors in one packet
_KILLED = ("The container did not start", "its monitor was killed")

_offered: socket.socket | None = None


@dataclass(frozen=True, slots=True)
class Monitor:
    """A monitor that holds nothing yet."""

    line: socket.socket
    pid: int  # as /proc calls it
    pidfd: int


@dataclass(frozen=True, slots=True)
class Newborn:
    """An init that is being born, and will wait for its plan; ``story`` is to end with that."""

    line: Line
    story: ExitStack


def may_be_wanted(words: Collection[str]) -> bool:
    """Say whether a command line may be one that starts a container."""
    return not VERBS.isdisjoint(words)


def fork_ahead(line: socket.socket) -> int:
    """Fork a monitor, and tell its number to the other end of ``line``; return its pidfd.

    For a server, on behalf of a command. Raises OSError where it may not make namespaces.
    """
    child = clone.clone(lambda: be_monitor(line, ahead=True), Namespace.PID)
    with suppress(OSError):  # Nobody is there who could want it: it leaves.
        protocol.tell(line, {"pid": child.pid}, (child.pidfd,))
    return child.pidfd


def offer(line: socket.socket) -> None:
    """Let this process take the monitor at the other end of ``line`` if it wants one."""
    global _offered
    _offered = line


def take(host: HostConfig) -> Monitor:
    """Return a monitor for a container: the one that was offered, else one that is forked now.

    It is process 1 of a PID namespace around the container. (With ``--pid host`` it can't be:
    then a monitor that is killed leaves processes behind, which the next command kills.) Born
    there it costs nothing; to move there later would make all processors wait.
    """
    is_around = sharing.is_around(host)
    with step("start its monitor in a PID namespace around it", "unshare", "--pid", "--fork"):
        return (_taken() if is_around else None) or _fork(is_around=is_around)


def _taken() -> Monitor | None:
    global _offered
    line, _offered = _offered, None
    if line is None:
        return None
    try:
        message, fds = protocol.hear_json(line)
        return Monitor(line, int(message["pid"]), fds[0])
    except (OSError, EOFError):
        line.close()
        return None


def _fork(*, is_around: bool) -> Monitor:
    """Fork a monitor into the group of all monitors.

    So neither a terminal that is hung up nor a session or a unit that is stopped ends it.
    """
    group = cgroups.make("monitors")
    folder = group.clone_fd()
    ours, theirs = protocol.pair()

    def main() -> int:
        with suppress(OSError):  # A read-only tree, of which init will tell. It stays the caller's.
            group.enter_version_1()
        return be_monitor(theirs)

    sys.stdout.flush()
    sys.stderr.flush()
    kinds = Namespace.PID if is_around else Namespace(0)
    try:
        child = clone.clone(main, kinds, cgroup=folder)
    except BaseException as error:
        ours.close()
        if isinstance(error, OSError):
            raise kernel_refused("Cannot start the container's monitor", error) from error
        raise
    finally:
        theirs.close()
        descriptors.close([folder])
    return Monitor(ours, processes.pid_as_seen_from_proc(child.pidfd), child.pidfd)


def bear_early(monitor: Monitor, kinds: Namespace, cgroup: Cgroup) -> Newborn:
    """Have init born from now on, in new namespaces of these kinds; does not wait for it."""
    ours, theirs = handshake.open_pair()
    birth.name_groups(cgroup, ours)
    story = ExitStack()
    story.enter_context(birth.told(kinds))
    folder = cgroup.clone_fd()
    given = [theirs.fileno(), *([] if folder is None else [folder])]
    try:
        _tell(monitor, {"bear": int(kinds)}, given)
        return Newborn(ours, story)
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
        descriptors.close([folder])


def born(monitor: Monitor, newborn: Newborn) -> Child:
    """Wait until it is born. Raises KernelRefused."""
    with steps.in_the_name_of("monitor"), newborn.story:
        return _told_of(monitor)


def bear(
    monitor: Monitor, newborn: Newborn | None, plan: Plan, limit_devices: Callable[[], None]
) -> tuple[Child, Line]:
    """Give an init its plan, the newborn or one that is born by it; return it, and its line.

    ``limit_devices`` is called when the container's cgroups exist, and init has no plan yet.
    """
    plan = replace(plan, inherited=inheritance.of())
    if newborn:
        try:
            child = born(monitor, newborn)
            newborn.line.hear(handshake.GROUPS)
            limit_devices()
            birth.send(plan, newborn.line)
            return child, newborn.line
        except BaseException:
            newborn.line.close()
            raise
    limit_devices()
    ours, theirs = handshake.open_pair()
    try:
        highest = max(birth.numbers_of(plan), default=0)
        _tell(monitor, {"bear": None, "highest": highest}, [theirs.fileno()])
        theirs.close()
        birth.send(plan, ours)
        return _told_of(monitor), ours
    except BaseException:
        ours.close()
        raise


def _tell(monitor: Monitor, message: dict[str, Any], fds: Sequence[int] = ()) -> None:
    try:
        protocol.tell(monitor.line, message, tuple(fds))
    except BrokenPipeError:
        raise MinirtError(*_KILLED) from None


def _told_of(monitor: Monitor) -> Child:
    """Hear from the monitor that init is born."""
    try:
        message, fds = protocol.hear_json(monitor.line)
    except (EOFError, OSError):
        raise MinirtError(*_KILLED) from None
    if "error" in message:
        raise unpack(message["error"].encode())
    return Child(processes.pid_as_seen_from_proc(fds[0]), fds[0])


def hand_over(monitor: Monitor, given: Life) -> None:
    """Give the monitor everything that there is to hold, for :func:`let_live`.

    Raises MinirtError if it has died.
    """
    link, given.holdings.link = given.holdings.link, None
    numbers = sorted(given.descriptors() | ({link.fileno()} if link else set()))
    state = {name: value for name, value in os.environ.items() if name.startswith("MINIRT_")}
    with link or nullcontext():
        note = parcels.pack((state, link.fileno() if link else None, given))
        fds = [note, *numbers]
        try:
            while fds:
                now, fds = fds[:_AT_ONCE], fds[_AT_ONCE:]
                _tell(monitor, {"numbers": now, "more": bool(fds)}, now)
        finally:
            os.close(note)


def let_live(monitor: Monitor) -> None:
    """Leave the container to its monitor. Raises MinirtError if that has died."""
    _tell(monitor, {"live": True})
    monitor.line.close()
    os.close(monitor.pidfd)


def dismiss(monitor: Monitor) -> None:
    """Kill it: when this returns nothing of what it was given is held any more."""
    monitor.line.close()
    processes.kill_by_pidfd(monitor.pidfd)
