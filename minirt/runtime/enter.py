"""One more process in a container that runs: "exec".

    caller ---- fork ----> guide                 in the host's PID namespace
       |                     |  enters the cgroup and the namespaces, finds user, folder, command
       |                     |---- clone3 ----> newcomer      a child of the *caller*, CLONE_PARENT
       |  <-- "prepared" ----|                     |          pidfd and console come along
       |                     x                     |
       |  ------------------- "go" --------------> |
       |  <----- end of file, or an error ---------|

The guide does all that takes time where nobody in the container can see it: only a *child* of
who enters a PID namespace is in it. The newcomer lives for microseconds before its execve, not
dumpable, so that its descriptors, its memory and its binary are out of reach for a container that
waits for such visits (CVE-2016-9962, CVE-2019-5736).
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from minirt.errors import Conflict
from minirt.kernel import (
    beneath,
    clone,
    keyrings,
    libc,
    namespaces,
    processes,
    terminals,
    user_namespaces,
)
from minirt.kernel.cgroups import Cgroup
from minirt.kernel.clone import Child
from minirt.kernel.namespaces import Namespace
from minirt.kernel.steps import speak_as, step
from minirt.runtime import command, dev, filters, handshake, launch, stripped
from minirt.runtime.filters import Filters
from minirt.runtime.handshake import GO, PREPARED, CreatorDied, Line
from minirt.runtime.spec import Process, Spec


@dataclass(frozen=True, slots=True)
class Entered:
    """A process that was started in a container; a child of the caller, to be waited for.

    ``pid`` is its number in the mounted /proc. ``console`` is the master of its terminal.
    """

    pid: int
    pidfd: int
    console: int | None


@dataclass(frozen=True, slots=True)
class Visit:
    """All that guide and newcomer need."""

    pidfd: int
    pid: int
    process: Process
    kinds: Namespace
    stdio: tuple[int, int, int] | None
    user: str | None
    groups: tuple[str, ...]
    cgroup: Cgroup | None
    filters: Filters
    line: Line
    handed_on: tuple[int, ...] = ()
    personality: int | None = None

    @property
    def has_own_ids(self) -> bool:
        """Say whether the container is in a user namespace."""
        return Namespace.USER in self.kinds


def enter(  # noqa: PLR0913 - what a process needs, each under its own name
    pidfd: int,
    pid: int,
    process: Process,
    *,
    spec: Spec,
    stdio: tuple[int, int, int] | None = None,
    user: str | None = None,
    groups: tuple[str, ...] = (),
    cgroup: Cgroup | None = None,
    keep_fds: int = 0,
) -> Entered:
    """Run ``process`` in the namespaces of the init that ``pidfd`` names; return when it runs.

    ``pid`` is for the told steps only. ``spec`` tells which namespaces the container has of
    its own, and its seccomp rules. ``keep_fds`` further descriptors, from 3 on, are handed
    through. Raises CommandNotFound, CommandNotRunnable, InvalidRequest,
    Conflict if the container has ended.
    """
    kinds = Namespace(0)
    for kind in spec.namespaces:
        kinds |= kind
    rules = filters.prepare(spec.seccomp)
    handed_on = stripped.to_hand_on(keep_fds, {pidfd})
    ours, theirs = handshake.open_pair()
    visit = Visit(
        *(pidfd, pid, process, kinds, stdio, user, groups, cgroup, rules, theirs),
        *(handed_on, spec.personality),
    )
    try:
        try:
            guide = _send_guide(visit)
        finally:
            theirs.close()
        try:
            descriptors = ours.hear(PREPARED)
        finally:
            os.waitid(os.P_PIDFD, guide.pidfd, os.WEXITED)
            os.close(guide.pidfd)
        limited = process if spec.has_own_ids else None
        return _let_go(ours, process, descriptors, limited)
    finally:
        ours.close()


def _send_guide(visit: Visit) -> Child:
    """Start the guide, born in the cgroup where that is possible."""
    cgroup = visit.cgroup.clone_fd() if visit.cgroup else None
    try:
        return clone.clone(lambda: _guide(visit), cgroup=cgroup)
    finally:
        if cgroup is not None:
            os.close(cgroup)


def _let_go(
    line: Line, process: Process, descriptors: list[int], limited: Process | None
) -> Entered:
    """Give the newcomer the word; raise what kept it from becoming the command.

    ``limited`` is where to take its limits from, if it can't set them itself.
    """
    newcomer, console = descriptors[0], descriptors[1] if len(descriptors) > 1 else None
    try:
        seen = processes.pid_as_seen_from_proc(newcomer)
        if limited:
            launch.set_limits(limited, seen)
        line.go()
    except BaseException as error:
        _discard(newcomer, console)
        if isinstance(error, OSError):
            raise command.refused(process.args[0], error) from error
        raise
    return Entered(seen, newcomer, console)


def _guide(visit: Visit) -> int:
    """Prepare all, send the newcomer ahead, and leave."""
    speak_as("exec")
    try:
        _show_in(visit)
    except BaseException as error:  # It can't go up: this process has no callers any more.
        visit.line.report(launch.explained(error))
        return 1
    return 0


def _show_in(visit: Visit) -> None:
    process = visit.process
    stripped.strip(visit.stdio, {visit.line.fileno(), visit.pidfd, *visit.handed_on})
    launch.set_oom_score(process)
    if visit.cgroup:
        visit.cgroup.enter_version_1()
    own_descriptors = terminals.open_descriptors()
    if visit.has_own_ids:
        _give_stdio(visit)
    _enter_namespaces(visit)
    if visit.has_own_ids:
        user_namespaces.become_root()
    keyrings.leave_session_keyring()
    root = os.open("/", beneath.FOLDER)
    process = launch.as_user(process, root, visit.user, visit.groups)
    console: tuple[int, ...] = ()
    if process.terminal:
        master, slave = dev.open_console(root, process, own_descriptors)
        dev.become_stdio(slave)
        console = (master,)
    os.close(root)
    os.close(own_descriptors)
    launch.enter_cwd(process.cwd)
    path = command.find(process.args[0], process.env)
    newcomer = clone.clone(lambda: _become(visit, process, path), as_sibling=True)
    visit.line.say(PREPARED, newcomer.pidfd, *console)


def _give_stdio(visit: Visit) -> None:
    """Let the root inside have the streams: from inside it could not take what is the host's."""
    try:
        root = user_namespaces.root_of(processes.pid_as_seen_from_proc(visit.pidfd))
    except (FileNotFoundError, ProcessLookupError):
        return  # It has just ended; to enter it will fail.
    if root is not None:
        launch.give_stdio((0, 1, 2), *root)


def _enter_namespaces(visit: Visit) -> None:
    """Join all of them with one call; the PID namespace only takes the next child in."""
    options = [namespaces.option(kind) for kind in Namespace if kind in visit.kinds]
    try:
        with step("enter the namespaces", "nsenter", "--target", visit.pid, *options):
            libc.setns(visit.pidfd, visit.kinds)
    except ProcessLookupError as error:
        raise Conflict("Cannot run a command there", "the container has ended") from error
    os.close(visit.pidfd)


def _become(visit: Visit, process: Process, path: str) -> int:
    """Be the newcomer: take the terminal, wait for the word, drop all privileges, execute."""
    try:
        os.setsid()
        if process.terminal:
            terminals.take_control(0)
        processes.close_all_but(stripped.with_standard({visit.line.fileno(), *visit.handed_on}))
        visit.line.await_word(GO)
        for fd in visit.handed_on:
            os.set_inheritable(fd, True)
        launch.set_scheduling(process, visit.personality)
        if not visit.has_own_ids:  # Else the caller has: to raise them takes the host's root.
            launch.set_limits(process)
        launch.become(process, path, visit.filters, visit.line.fileno())
    except CreatorDied:
        pass
    except BaseException as error:
        visit.line.report(launch.explained(error))
    return 1


def _discard(newcomer: int, console: int | None) -> None:
    processes.kill_by_pidfd(newcomer)
    if console is not None:
        os.close(console)
