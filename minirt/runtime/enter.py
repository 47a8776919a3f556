"""One more process in a container that runs: "exec".

    caller ---- fork ----> guide                 in the host's PID namespace
       |                     |  enters the cgroup and the namespaces, finds user, folder, command
       |                     |---- clone3 ----> newcomer      a child of the *caller*, CLONE_PARENT
       |  <-- "prepared" ----|                     |          pidfd and console come along
       |                     |                     |          (each has a line of its own)
       |                     x                     |
       |  ------------------- "go" --------------> |
       |  <---------------- "ready" -------------- |    drops its privileges
       |  <----- end of file, or an error ---------|

The guide does what takes time where nobody in the container can see it: only a *child* of
who enters a PID namespace is in it. The newcomer is not dumpable, so that its descriptors, its
memory and its binary are out of reach for a container that waits for such visits (CVE-2016-9962,
CVE-2019-5736); and when it waits for the word, it is a springboard and no interpreter any more.

Root in the container may stop the newcomer, whatever else it can't do. So the caller waits for no
longer than :data:`PATIENCE`, and kills the newcomer if it is told to end meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from minirt.errors import Conflict
from minirt.kernel import (
    beneath,
    clone,
    keyrings,
    libc,
    mounts,
    namespaces,
    processes,
    terminals,
    user_namespaces,
)
from minirt.kernel.beneath import Shown
from minirt.kernel.cgroups import Cgroup
from minirt.kernel.clone import Child
from minirt.kernel.namespaces import Namespace, together
from minirt.kernel.steps import speak_as, step
from minirt.runtime import (
    command,
    dev,
    filters,
    handshake,
    launch,
    standard_streams,
    stripped,
)
from minirt.runtime.handshake import PREPARED, Interrupted, Line, Patience
from minirt.runtime.hooks import State
from minirt.runtime.newcomer import Visit, become
from minirt.runtime.spec import Process, Spec

PATIENCE = 30  # seconds for each word of guide and newcomer: they read files of a slow disk
KILL_PATIENCE = 2  # seconds that a process may need to end when it was killed


@dataclass(frozen=True, slots=True)
class Entered:
    """A process that was started in a container; a child of the caller, to be waited for.

    ``pid`` is its number in the mounted /proc. ``console`` is the master of its terminal.
    """

    pid: int
    pidfd: int
    console: int | None


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
    state: State | None = None,
    on_console: Callable[[int], None] | None = None,
    is_interrupted: Callable[[], bool] = lambda: False,
) -> Entered:
    """Run ``process`` in the namespaces of the init that ``pidfd`` names; return when it runs.

    ``pid`` is for the told steps only. ``spec`` tells which namespaces the container has of
    its own, and its seccomp rules. ``keep_fds`` further descriptors, from 3 on, are handed
    through. ``state`` is what a supervisor of its calls is told. ``on_console`` gets the master of
    its terminal before the process runs. ``is_interrupted`` is asked while the container makes
    the caller wait. Raises CommandNotFound, CommandNotRunnable, InvalidRequest, Interrupted,
    Conflict if the container has ended, or lets the process not start.
    """
    patience = Patience(PATIENCE, is_interrupted)
    kinds = together(spec.namespaces)
    handed_on = stripped.to_hand_on(keep_fds, {pidfd})
    with standard_streams.protected(stdio) as streams:
        rules = filters.prepare(spec.seccomp)
        ours, theirs = handshake.open_pair()
        talk, own_line = handshake.open_pair()
        visit = Visit(
            *(pidfd, pid, process, kinds, streams, user, groups, cgroup, rules, theirs, own_line),
            *(handed_on, spec.personality, state, spec.shares_mounts, spec.memory_policy),
        )
        try:
            guide = _send_guide(visit)
        except BaseException:
            ours.close()
            talk.close()
            raise
        finally:
            theirs.close()
            own_line.close()
            rules.close()
    try:
        try:
            prepared = ours.hear(PREPARED, patience)
        except (Interrupted, Conflict):
            _end(guide)
            _discard_unheard(ours)
            raise
        if on_console and len(prepared) > 1:
            on_console(prepared[1])
        return _let_go(talk, visit, prepared, patience)
    finally:
        _end(guide)
        os.close(guide.pidfd)
        ours.close()
        talk.close()


def _send_guide(visit: Visit) -> Child:
    """Start the guide, born in the cgroup where that is possible."""
    cgroup = visit.cgroup.clone_fd() if visit.cgroup else None
    try:
        return clone.clone(lambda: _guide(visit), cgroup=cgroup)
    finally:
        if cgroup is not None:
            os.close(cgroup)


def _let_go(line: Line, visit: Visit, descriptors: list[int], patience: Patience) -> Entered:
    """Give the newcomer the word; raise what kept it from becoming the command."""
    newcomer, console = descriptors[0], descriptors[1] if len(descriptors) > 1 else None
    try:
        seen = processes.pid_as_seen_from_proc(newcomer)
        if visit.has_own_ids:  # Then it can't set them itself.
            launch.set_limits(visit.process, seen)
        if visit.filters.agent:
            line.say(str(seen).encode())
        line.go(patience=patience)
    except BaseException as error:
        _discard(newcomer, console)
        if isinstance(error, OSError):
            raise command.refused(visit.process.args[0], error) from error
        raise
    return Entered(seen, newcomer, console)


def _guide(visit: Visit) -> int:
    """Prepare all, send the newcomer ahead, and leave."""
    speak_as("exec")
    try:
        # The newcomer shows the same words inside, and they may contain secrets (-e PASSWORD=…).
        processes.hide_command_line("minirt-exec")
        _show_in(visit)
    except BaseException as error:  # It can't go up: this process has no callers any more.
        visit.line.report(launch.explained(error))
        return 1
    return 0


def _show_in(visit: Visit) -> None:
    process = visit.process
    held = {
        visit.line.fileno(),
        visit.own_line.fileno(),
        *visit.handed_on,
        *visit.filters.descriptors(),
    }
    stripped.strip(visit.stdio, {visit.pidfd, *held})
    launch.set_oom_score(process)
    if visit.cgroup:
        visit.cgroup.enter_version_1()
    own_descriptors = terminals.open_descriptors()
    if visit.has_own_ids:
        _give_stdio(visit)
    launch.label_keys(process)
    _enter_namespaces(visit)
    if visit.has_own_ids:
        user_namespaces.become_root(keeps_groups=process.user.keeps_groups)
    keyrings.leave_session_keyring()
    root = os.open("/", beneath.FOLDER)
    process = launch.as_user(process, root, visit.user, visit.groups)
    console: tuple[int, ...] = ()
    if process.terminal:
        master, slave = dev.open_console(root, process, own_descriptors)
        dev.become_stdio(slave)
        console = (master,)
    else:
        standard_streams.use_own_devices(root, own_descriptors)
    os.close(root)
    os.close(own_descriptors)
    launch.enter_cwd(process.cwd)
    path = command.find(process.args[0], process.env)
    born = clone.clone(lambda: become(visit, process, path), as_sibling=True)
    visit.line.say(PREPARED, born.pidfd, *console)


def _give_stdio(visit: Visit) -> None:
    """Let the root inside have the streams: from inside it could not take what is the host's."""
    try:
        root = user_namespaces.root_of(processes.pid_as_seen_from_proc(visit.pidfd))
    except (FileNotFoundError, ProcessLookupError):
        return  # It has just ended; to enter it will fail.
    if root is not None:
        launch.give_stdio((0, 1, 2), *root)


def _enter_namespaces(visit: Visit) -> None:
    """Join all of them with one call; the PID namespace only takes the next child in.

    Without a mount namespace of the container's own that leaves this process at the host's root:
    then it takes that of init.
    """
    root = _root_of_init(visit) if visit.shares_mounts else None
    options = [namespaces.option(kind) for kind in Namespace if kind in visit.kinds]
    try:
        with step("enter the namespaces", "nsenter", "--target", visit.pid, *options):
            libc.setns(visit.pidfd, visit.kinds)
    except ProcessLookupError as error:
        raise Conflict("Cannot run a command there", "the container has ended") from error
    if root is not None:
        mounts.change_root(root, Shown(root))
        os.close(root)
    os.close(visit.pidfd)


def _root_of_init(visit: Visit) -> int:
    try:
        root = os.open(f"/proc/{processes.pid_as_seen_from_proc(visit.pidfd)}/root", beneath.FOLDER)
    except (FileNotFoundError, ProcessLookupError) as error:
        raise Conflict("Cannot run a command there", "the container has ended") from error
    if processes.wait_until_dead(visit.pidfd, 0):  # Then its number may be another process's.
        raise Conflict("Cannot run a command there", "the container has ended")
    return root


def _end(guide: Child) -> None:
    """Kill the guide, which has nothing left to do, and collect it; also for the second time."""
    processes.kill_by_pidfd(os.dup(guide.pidfd), KILL_PATIENCE)


def _discard_unheard(line: Line) -> None:
    """Kill a newcomer of which the guide has told when nobody waited any more."""
    try:
        message, descriptors = line.receive(Patience(0, lambda: True))
    except Interrupted:
        return
    if message == PREPARED:
        _discard(descriptors[0], descriptors[1] if len(descriptors) > 1 else None)


def _discard(newcomer: int, console: int | None) -> None:
    processes.kill_by_pidfd(newcomer, KILL_PATIENCE)
    if console is not None:
        os.close(console)
