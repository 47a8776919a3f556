"""The longest part of a monitor's life: from the moment at which the command runs, to its end."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace

from minirt.container import ending, lifecycle, log_writer, protocol, record
from minirt.container.holdings import Holdings
from minirt.container.hub import Hub
from minirt.container.log_writer import LogWriter, timestamp
from minirt.container.loop import Loop
from minirt.container.record import LastRun, Record
from minirt.errors import MinirtError, kernel_refused
from minirt.kernel import descriptors, processes, sockets, steps
from minirt.kernel.clone import Child


@dataclass(frozen=True, slots=True)
class Streams:
    """The monitor's ends of the pipes to the command.

    None of them for a terminal, nor where the operator's command moves the output itself.
    """

    stdin: int | None = None
    stdout: int | None = None
    stderr: int | None = None
    console: int | None = None  # the master of its terminal, instead of all three

    def descriptors(self) -> set[int]:
        """Return all descriptors."""
        ends = (self.stdin, self.stdout, self.stderr, self.console)
        return {fd for fd in ends if fd is not None}


@dataclass(frozen=True, slots=True)
class Life:
    """What a monitor has of a container whose command runs."""

    record: Record  # as it was at the start; its name and its plugs may have changed since then
    holdings: Holdings
    init: int  # its pidfd
    streams: Streams
    listener: int  # the socket for whoever has something to say
    log: int | None  # None: it has no log
    attached: int | None = None  # the socket to who has started it, and stays
    mounts: int | None = None  # its mount namespace, where init needs not wait for the end of that
    story: int | None = None  # the pipe of who wants to know where the time goes

    def descriptors(self) -> set[int]:
        """Return all descriptors."""
        own = (self.init, self.listener, self.log, self.attached, self.mounts, self.story)
        known = {fd for fd in own if fd is not None}
        return known | self.holdings.descriptors() | self.streams.descriptors()

    def voices(self) -> set[int]:
        """Return the descriptors over which somebody may have something to say."""
        streams, link = self.streams, self.holdings.link
        lines = (self.init, self.listener, self.attached, link.fileno() if link else None)
        said = (streams.stdout, streams.stderr, streams.console)
        return {fd for fd in lines + said if fd is not None}


def prepare(
    one: Record, holdings: Holdings, init: Child, streams: Streams, held: ExitStack
) -> Life:
    """Open what the monitor needs from the moment on at which the command runs."""
    log = None
    if one.host.log_driver != "none":
        log = log_writer.open_log(record.directory(one.id) / "log")
        held.callback(os.close, log)
    listener = protocol.listen(record.run_directory(one.id)).detach()
    held.callback(os.close, listener)
    mounts = ending.open_mounts(one, init.pid) if ending.is_forgotten(one) else None
    held.callback(descriptors.close, [mounts])
    holdings.introduce_names()
    return Life(one, holdings, init.pidfd, streams, listener, log, mounts=mounts)


def live(life: Life, line: socket.socket) -> int:
    """Serve until init is dead, free everything, tell the exit code; return the monitor's own.

    From the word at ``line`` on. It is ready by then: a command may be done within a millisecond.
    """
    try:
        serving = _get_ready(life)
        with line:
            if not _hear_that_it_runs(line):
                return 0
        hub, loop, listener = serving
        _serve(life, hub, loop)
        _end(life, hub, listener)
    except Exception as error:  # Nobody sees its standard error; "inspect" shows this.
        last = record.load_last(life.record.id)
        record.save_last(life.record.id, LastRun(last.started, error=str(in_words(error))))
        raise
    return 0


def in_words(error: Exception) -> MinirtError:
    """Return what a monitor has met, for people."""
    if isinstance(error, MinirtError):
        return error
    if isinstance(error, OSError):
        return kernel_refused("Cannot start the container", error)
    return MinirtError("This is a bug in minirt's monitor", f"{type(error).__name__}: {error}")


def _hear_that_it_runs(line: socket.socket) -> bool:
    """Wait for the word "live"; False if the start has failed, or the command was killed."""
    try:
        protocol.hear_json(line)
    except EOFError:
        return False
    return True


def _get_ready(life: Life) -> tuple[Hub, Loop, socket.socket]:
    """Connect all that may have something to say; nobody is heard yet."""
    holdings, loop = life.holdings, Loop()
    hub = Hub(loop, None if life.log is None else LogWriter(life.log), holdings.answer)
    _connect(hub, life)
    listener = socket.socket(fileno=life.listener)
    loop.on_readable(life.listener, lambda: _accept(hub, listener))
    holdings.keep_names_served(loop)
    holdings.watch_host(loop)
    holdings.serve_ports(loop, holdings.bindings)
    return hub, loop, listener


def _accept(hub: Hub, listener: socket.socket) -> None:
    client, _ = listener.accept()
    if sockets.peer_of(client)[1] == os.geteuid():
        hub.add_client(client)
    else:
        client.close()


def _attach_late_clients(hub: Hub, listener: socket.socket) -> None:
    """Accept the clients that have connected since init died, and close the listener."""
    listener.setblocking(False)
    with listener, suppress(BlockingIOError):
        while True:
            _accept(hub, listener)
    hub.attach_late_clients()


def _serve(life: Life, hub: Hub, loop: Loop) -> None:
    """Serve all clients until init is dead; those that are attached stay connected."""
    ended: list[bool] = []
    loop.on_readable(life.init, lambda: ended.append(True))
    while not ended:
        loop.turn()
    loop.forget(life.init)
    hub.drain()
    life.holdings.end_ports()
    # A slow reader still keeps the loop turning: not on what is closed from here on.
    loop.keep_only(hub.descriptors())


def _end(life: Life, hub: Hub, listener: socket.socket) -> None:
    """Free everything that others may want, and only then tell the exit code.

    Also to clients that have connected meanwhile: of a ``--rm`` container nothing else is left
    that could tell it.
    """
    if life.story is not None:
        steps.write_to(life.story, phases=True)
    code = processes.collect(life.init)
    one = life.record
    is_restarting = hub.is_restarting()
    if is_restarting:
        one = replace(one, host=replace(one.host, auto_remove=False))
    with steps.phase("take down what others may want"):
        if not one.host.auto_remove:  # Else nothing will be left that could be asked.
            last, killed = record.load_last(one.id), lifecycle.group_of(one).oom_kills() > 0
            ended = LastRun(last.started, timestamp(), code, killed, is_restarting=is_restarting)
            record.save_last(one.id, ended)
        finish = ending.release(one, life.holdings)
    _attach_late_clients(hub, listener)
    hub.finish(code)
    with steps.phase("take down the rest"):
        descriptors.close([life.mounts])
        finish()


def _connect(hub: Hub, life: Life) -> None:
    streams = life.streams
    if streams.console is not None:
        hub.set_terminal(streams.console)
    if streams.stdout is not None:
        hub.add_source(streams.stdout, protocol.STDOUT)
    if streams.stderr is not None:
        hub.add_source(streams.stderr, protocol.STDERR)
    if streams.stdin is not None:
        hub.set_input(streams.stdin)
    if life.attached is not None:
        client = hub.add_client(socket.socket(fileno=life.attached))
        client.attached = client.listens = client.feeds = True
        hub.closes_input_with_client = streams.stdin is not None
