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

It imports and opens nothing for networking, so that it stays small.
"""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass

from minirt.container import ending, protocol, record
from minirt.container.holdings import Holdings
from minirt.container.hub import Hub
from minirt.container.log_writer import LogWriter, timestamp
from minirt.container.loop import Loop
from minirt.container.record import LastRun, Record
from minirt.errors import MinirtError, kernel_refused, pack
from minirt.kernel import cgroups, descriptors, processes, steps
from minirt.kernel.cgroups import Cgroup
from minirt.kernel.namespaces import Namespace
from minirt.runtime import create, resources
from minirt.runtime.create import Created, Setting
from minirt.runtime.rootfs import Overlay
from minirt.runtime.spec import Spec
from minirt.state import write_json

IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP)


@dataclass(frozen=True, slots=True)
class Plan:
    """All that the command process has decided before it forks."""

    record: Record
    spec: Spec
    overlay: Overlay
    holdings: Holdings


@dataclass(frozen=True, slots=True)
class Streams:
    """The monitor's ends of the pipes to the command; none of them for a terminal."""

    stdin: int | None = None
    stdout: int | None = None
    stderr: int | None = None


def main(plan: Plan, line: socket.socket) -> int:
    """Live for the container. Runs in the forked child; returns its exit code."""
    steps.speak_as("monitor")
    _leave_the_command(plan.holdings, line)
    cgroup, created = None, None
    try:
        cgroup = cgroups.make(record.cgroup_name(plan.record))
        resources.apply(cgroup, plan.spec.resources)
        created, streams = _create(plan, cgroup, line)
        wired, fds = protocol.hear_json(line)
        plan.holdings.take_names(wired, fds)
        create.start(created)
    except Exception as error:
        return _give_up(plan, cgroup, created, line, error)
    last = LastRun(started=timestamp())
    record.save_last(plan.record.id, last)
    steps.fall_silent()
    protocol.tell(line, {"started": True})
    try:
        return _live(plan, cgroup, created, streams, line if wired.get("attach") else None)
    except Exception as error:  # Nobody sees its standard error; "inspect" shows this.
        record.save_last(plan.record.id, LastRun(last.started, error=str(_in_words(error))))
        raise


def _leave_the_command(holdings: Holdings, line: socket.socket) -> None:
    """Keep nothing of the process that forked us but what was handed over."""
    os.setsid()
    os.chdir("/")
    null = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    kept = {0, 1, 2, line.fileno(), *holdings.descriptors(), *steps.descriptors()}
    processes.close_all_but(kept)
    for one in IGNORED:
        signal.signal(one, signal.SIG_IGN)


def _create(plan: Plan, cgroup: Cgroup, line: socket.socket) -> tuple[Created, Streams]:
    """Make the sandbox; tell the command process as soon as it can be wired."""
    ours, theirs = _open_streams(plan.record)
    one = plan.record

    def on_isolated(pidfd: int) -> None:
        pid = processes.pid_as_seen_from_proc(pidfd)
        born = processes.start_time(pid)
        own = processes.own_pid_as_seen_from_proc()
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


def _open_streams(one: Record) -> tuple[Streams, tuple[int, int, int] | None]:
    """Open the command's standard streams: our ends, and those that it gets."""
    if one.config.tty:
        return Streams(), None
    out, err = os.pipe(), os.pipe()
    if not one.config.open_stdin:
        null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        return Streams(None, out[0], err[0]), (null, out[1], err[1])
    into = os.pipe()
    return Streams(into[1], out[0], err[0]), (into[0], out[1], err[1])


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
            protocol.tell(line, {"error": pack(_in_words(error)).decode()})
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


def _in_words(error: Exception) -> MinirtError:
    if isinstance(error, MinirtError):
        return error
    if isinstance(error, OSError):
        return kernel_refused("Cannot start the container", error)
    return MinirtError("This is a bug in minirt's monitor", f"{type(error).__name__}: {error}")


def _live(
    plan: Plan, cgroup: Cgroup, created: Created, streams: Streams, line: socket.socket | None
) -> int:
    """Serve until init is dead; then free everything, and only then tell the exit code."""
    one, loop = plan.record, Loop()
    log = None
    if one.host.log_driver != "none":
        log = LogWriter(record.directory(one.id) / "log")
    hub = Hub(loop, log, plan.holdings.answer)
    _connect(hub, created, streams, line)
    listener = protocol.listen(record.run_directory(one.id))
    loop.on_readable(listener.fileno(), lambda: hub.add_client(listener.accept()[0]))
    plan.holdings.keep_names_served(loop)
    plan.holdings.watch_host(loop)
    plan.holdings.serve_ports(loop, plan.holdings.bindings)
    ended: list[bool] = []
    loop.on_readable(created.pidfd, lambda: ended.append(True))
    while not ended:
        loop.turn()
    loop.forget(created.pidfd)
    code = processes.collect(created.pidfd)
    hub.drain()
    plan.holdings.end_ports()
    listener.close()
    # A slow reader still keeps the loop turning: not on what is closed from here on.
    loop.keep_only(hub.descriptors())
    last = record.load_last(one.id)
    oom_killed = cgroup.oom_kills() > 0
    record.save_last(one.id, LastRun(last.started, timestamp(), code, oom_killed))
    remains = ending.release(one, plan.holdings, cgroup, ran=True)
    hub.finish(code)
    ending.delete(remains)
    return 0


def _connect(hub: Hub, created: Created, streams: Streams, line: socket.socket | None) -> None:
    if created.console is not None:
        hub.set_terminal(created.console)
    if streams.stdout is not None and streams.stderr is not None:
        hub.add_source(streams.stdout, protocol.STDOUT)
        hub.add_source(streams.stderr, protocol.STDERR)
    if streams.stdin is not None:
        hub.set_input(streams.stdin)
    if line is not None:
        client = hub.add_client(line)
        client.attached = client.listens = client.feeds = True
        hub.closes_input_with_client = streams.stdin is not None
