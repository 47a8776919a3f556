"""The one process that a container's life hangs on.

The monitor holds the locks that say "alive", the leases of its addresses, its host ports and
its DNS sockets, and it is process 1 of a PID namespace *around* the container's own: kill it,
with any signal, and the kernel kills init, whatever that does, ends its namespaces, drops its
wires and frees its locks. No daemon has to notice.

    command                                 monitor
       |  ------------- fork ---------------> |   locks, leases and ports go along
       |  <---- {"pid": ...} and a pidfd ----- |   "isolated": the namespaces exist
       |  (wires them up)                      |   (init mounts its root meanwhile)
       |  --- {"wired": ...} and sockets ----> |
       |  <-------- {"started": true} -------- |   init has become the command

Where it can't start, the command stops wiring before anything is freed, or it might wire
what belongs to somebody else by then; and it does not answer before all is free:

       |  <----------- {"error": ...} -------- |
       |  ----------- end of file -----------> |
       |  <----------- {"free": true} -------- |

It imports and opens nothing for networking. What it does from then on is in life.py; where there
is a fork server, another process does it, and is what was said here of the monitor (keeper.py).
"""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from minirt.container import ending, keeper, life, protocol, record
from minirt.container.holdings import Holdings
from minirt.container.keeper import Keeper
from minirt.container.life import Life, Streams, in_words
from minirt.container.log_writer import timestamp
from minirt.container.record import LastRun, Record
from minirt.errors import pack
from minirt.kernel import cgroups, descriptors, processes, steps
from minirt.kernel.cgroups import Cgroup
from minirt.kernel.namespaces import Namespace
from minirt.runtime import create, resources
from minirt.runtime.create import Created, Setting
from minirt.runtime.rootfs import Overlay
from minirt.runtime.spec import Spec
from minirt.state import write_json

_MOMENT = 0.02  # seconds in which a container may end without a keeper
_LAST_WORDS = 0.003  # seconds from what it prints to its end


@dataclass(frozen=True, slots=True)
class Plan:
    """All that the command process has decided before it forks."""

    record: Record
    spec: Spec
    overlay: Overlay
    holdings: Holdings
    keeper: Keeper | None = None  # who keeps the container once it is built; None: its builder
    # which of the command's streams, 1 and 2, are the operator's own pipes
    handed: dict[int, int] = field(default_factory=dict)


def main(plan: Plan, line: socket.socket) -> int:
    """Live for the container. Runs in the forked child; returns its exit code."""
    steps.speak_as("monitor")
    _leave_the_command(plan, line)
    cgroup, created = None, None
    try:
        cgroup = cgroups.make(record.cgroup_name(plan.record))
        resources.apply(cgroup, plan.spec.resources)
        created, streams = _create(plan, cgroup, line)
        wired, fds = protocol.hear_json(line)
        plan.holdings.take_names(wired, fds)
        streams = replace(streams, console=created.console)
        own = life.prepare(plan.record, plan.holdings, created.pidfd, streams)
        create.start(created)
    except Exception as error:
        return _give_up(plan, cgroup, created, line, error)
    record.save_last(plan.record.id, LastRun(started=timestamp()))
    steps.fall_silent()
    protocol.tell(line, {"started": True})
    if wired.get("attach"):
        own = replace(own, attached=line.detach())
    if plan.keeper is None or _ends_at_once(own):
        return life.live(own)
    keeper.hand_over(plan.keeper, own)
    return 0


def _ends_at_once(own: Life) -> bool:
    """Say whether the container has ended while nobody could miss its keeper.

    To end it takes less time than to hand it over, and many containers run for a moment only.
    """
    poll = select.poll()
    for fd in own.voices():
        poll.register(fd, select.POLLIN)
    poll.poll(_MOMENT * 1000)
    return processes.wait_until_dead(own.init, _LAST_WORDS)


def _leave_the_command(plan: Plan, line: socket.socket) -> None:
    """Keep nothing of the process that forked us but what was handed over."""
    os.setsid()
    os.chdir("/")
    null = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    kept = {0, 1, 2, line.fileno(), *plan.holdings.descriptors(), *steps.descriptors()}
    kept |= {plan.keeper.line.fileno()} if plan.keeper else set()
    kept |= set(plan.handed.values())
    processes.close_all_but(kept)
    for one in keeper.IGNORED:
        signal.signal(one, signal.SIG_IGN)


def _create(plan: Plan, cgroup: Cgroup, line: socket.socket) -> tuple[Created, Streams]:
    """Make the sandbox; tell the command process as soon as it can be wired."""
    ours, theirs = _open_streams(plan.record, plan.handed)
    one = plan.record

    def on_isolated(pidfd: int) -> None:
        pid = processes.pid_as_seen_from_proc(pidfd)
        born = processes.start_time(pid)
        own = plan.keeper.pid if plan.keeper else processes.own_pid_as_seen_from_proc()
        state = {"id": one.id, "pid": pid, "born": born}
        state |= {"monitor": own, "monitor_born": processes.start_time(own)}
        write_json(record.run_directory(one.id) / "state.json", state, durable=False)
        protocol.tell(line, {"pid": pid, "born": born}, (pidfd,))

    setting = Setting(
        bundle=record.directory(one.id),
        stdio=theirs,
        overlay=plan.overlay,
        cgroup=cgroup,
        user=one.config.user,
        groups=tuple(one.host.group_add),
        shm_of=_namespace_of_shm(plan),
    )
    created = create.create(plan.spec, setting, on_isolated)
    for fd in theirs or ():
        os.close(fd)
    return created, ours


def _namespace_of_shm(plan: Plan) -> str:
    """Return the mount namespace of whom it shares /dev/shm with; "" if that is its own."""
    path = plan.spec.namespaces.get(Namespace.IPC, "")
    return f"{path.removesuffix('ipc')}mnt" if path else ""


def _open_streams(
    one: Record, handed: Mapping[int, int]
) -> tuple[Streams, tuple[int, int, int] | None]:
    """Open the command's standard streams: our ends, and those that it gets."""
    if one.config.tty:
        return Streams(), None
    into, given = None, os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    if one.config.open_stdin:
        os.close(given)
        given, into = os.pipe()
    # Of a pipe of the operator's we have no other end.
    out, err = ((None, handed[one]) if one in handed else os.pipe() for one in (1, 2))
    return Streams(into, out[0], err[0]), (given, out[1], err[1])


def _give_up(
    plan: Plan,
    cgroup: Cgroup | None,
    created: Created | None,
    line: socket.socket,
    error: Exception,
) -> int:
    """Say why, let the command process come to its end, undo what was made, say so."""
    if created:
        create.discard(created)
    with suppress(OSError):  # The command process may be dead.
        if not isinstance(error, EOFError):
            protocol.tell(line, {"error": pack(in_words(error)).decode()})
            _hear_the_end(line)
    ending.release(plan.record, plan.holdings, cgroup, ran=False)
    with suppress(OSError):
        protocol.tell(line, {"free": True})
    return 1


def _hear_the_end(line: socket.socket) -> None:
    kind = b"?"
    while kind:
        kind, _, fds = protocol.hear(line)
        descriptors.close(fds)
