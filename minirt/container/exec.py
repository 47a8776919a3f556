"""One more process in a running container: ``minirt exec``."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from minirt.container import attach, copying, lifecycle, record, rights
from minirt.container.attach import ENDING, MOST_SIGNALS, caught, passed_on
from minirt.container.copying import Flow, PipeFlow
from minirt.container.flags import environment
from minirt.container.loop import Loop
from minirt.container.record import Record
from minirt.errors import CommandNotRunnable, Conflict, InvalidRequest
from minirt.kernel import descriptors, processes, steps, terminal_modes, terminals
from minirt.kernel.processes import SIGNAL_BASE
from minirt.runtime import enter, reader
from minirt.runtime.enter import Entered
from minirt.runtime.handshake import Interrupted
from minirt.runtime.spec import Capabilities
from minirt.state import read_json

# How long a command may take after a signal that is to end it; see isolation.md, section 9.
STOPPED = 1  # seconds after which it is killed if it is stopped or traced, and so hears nothing
GRACE = 10  # seconds after SIGTERM or SIGHUP, as for ``stop``
_FINAL = {signal.SIGTERM, signal.SIGHUP}


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked of ``exec``."""

    args: list[str]
    env: list[str] = field(default_factory=list)
    user: str = ""
    working_dir: str = ""
    tty: bool = False
    interactive: bool = False
    detach: bool = False
    privileged: bool = False


@dataclass(frozen=True, slots=True)
class Streams:
    """The command's standard streams: what it gets, and pairs to copy between."""

    given: tuple[int, int, int] | None  # None: a terminal of its own
    inwards: tuple[int, int] | None = None
    outwards: tuple[tuple[int, int], ...] = ()


def run(one: Record, asked: Request) -> int:
    """Run a command in a container; return its exit code, 0 if it was left alone.

    Raises Conflict if the container does not run; CommandNotFound, CommandNotRunnable.
    """
    if lifecycle.is_paused(one):
        what = f"Container {one.name} is paused, unpause the container before exec"
        raise Conflict(what, "", f"minirt unpause {one.name}")
    init = lifecycle.init_of(one)
    if init is None:
        raise Conflict(f"Cannot run a command in {one.name}", "it has just ended or is starting")
    is_raw = asked.tty and asked.interactive and os.isatty(0)
    # From before it starts: the first thing that it does may make somebody send a signal.
    passed = set() if asked.detach else (ENDING if is_raw else passed_on()) | {signal.SIGWINCH}
    with caught(passed) as signals, ExitStack() as held:
        streams, ends = _open_streams(asked)
        early: list[int] = []
        try:
            with lifecycle.reporting_its_end(one, f"Cannot run a command in {one.name}"):
                entered = _enter(one, asked, init, streams, lambda: _is_to_end(signals, early))
        except Interrupted:
            return SIGNAL_BASE + next(number for number in early if number in ENDING)
        finally:
            descriptors.close(ends)
        held.callback(os.close, entered.pidfd)
        steps.show()
        if asked.detach:
            return 0
        if is_raw:
            held.enter_context(terminal_modes.raw(0))
        return _follow(one, asked, entered, streams, signals, early, is_raw=is_raw)


def _is_to_end(signals: int, early: list[int]) -> bool:
    """Say whether a signal has come that ends this process; add all that came to ``early``."""
    try:
        early += os.read(signals, 64)
    except BlockingIOError:
        pass
    return any(number in ENDING for number in early)


def _open_streams(asked: Request) -> tuple[Streams, list[int]]:
    """Return the streams, and which descriptors only the command needs."""
    if asked.tty:
        return Streams(None), []
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    if asked.detach:
        return Streams((null, null, null)), [null]
    given, ends, outwards, inwards = [null], [null], [], None
    if asked.interactive:
        reader, writer = os.pipe()
        given, inwards = [reader], (0, copying.widened(writer))
        ends.append(reader)
    for own in (1, 2):
        if own == 2 and copying.are_one_pipe(1, 2):  # So the order of what is written stays.
            given.append(given[1])
            continue
        reader, writer = os.pipe()
        given.append(copying.widened(writer))
        ends.append(writer)
        outwards.append((reader, own))
    return Streams((given[0], given[1], given[2]), inwards, tuple(outwards)), ends


def _enter(
    one: Record,
    asked: Request,
    init: tuple[int, int],
    streams: Streams,
    is_interrupted: Callable[[], bool],
) -> Entered:
    spec = reader.read(read_json(record.directory(one.id) / "config.json"))
    process = replace(
        spec.process,
        args=tuple(asked.args),
        env=tuple(environment.overridden(list(spec.process.env), asked.env)),
        cwd=asked.working_dir or spec.process.cwd,
        terminal=asked.tty,
        console_size=terminal_modes.size_of_first((0, 1, 2)) if asked.tty else None,
    )
    if asked.privileged:
        sets = {kind: tuple(names) for kind, names in rights.sets(rights.everything()).items()}
        process = replace(process, capabilities=Capabilities(**sets))
        spec = replace(spec, seccomp=None)
    try:
        pidfd = processes.open_pidfd(*init)
    except ProcessLookupError:
        raise Conflict(f"Cannot run a command in {one.name}", "it has just ended") from None
    try:
        return enter.enter(
            pidfd,
            init[0],
            process,
            spec=spec,
            stdio=streams.given,
            user=asked.user or one.config.user,
            groups=tuple(one.host.group_add),
            cgroup=lifecycle.group_of(one),
            is_interrupted=is_interrupted,
        )
    except InvalidRequest as error:  # A user or folder that isn't there: 126, as with Docker.
        raise CommandNotRunnable(error.what, error.why, error.remedy) from error
    finally:
        os.close(pidfd)


@dataclass(slots=True)
class _Insistence:
    """Sees to it that the command ends after a signal that is to end it, whatever holds it.

    A process that is stopped or traced by others in the container hears nothing.
    """

    loop: Loop
    entered: Entered
    has_ended: Callable[[], bool]
    leave: Callable[[int], None]
    count: int = 0

    def begin(self, number: int) -> None:
        """Begin with a signal that was passed on."""
        self.count += 1
        self.loop.call_after(STOPPED, lambda: self._kill_if_stopped(number))
        if number in _FINAL:
            self.loop.call_after(GRACE, lambda: self._kill(number))
        if self.count == MOST_SIGNALS:  # Then ``attach`` leaves, too.
            self._kill(number)

    def _kill_if_stopped(self, number: int) -> None:
        if not self.has_ended() and processes.is_stopped(self.entered.pid):
            self._kill(number)

    def _kill(self, number: int) -> None:
        if not self.has_ended():
            _send(self.entered, signal.SIGKILL)
            self.loop.call_after(enter.KILL_PATIENCE, lambda: self.leave(number))


def _follow(
    one: Record,
    asked: Request,
    entered: Entered,
    streams: Streams,
    signals: int,
    early: list[int],
    *,
    is_raw: bool,
) -> int:
    """Copy what has to be copied, pass signals on, and return the exit code.

    ``early`` are signals that came before the command ran.
    """
    loop = Loop()
    inwards, outwards = streams.inwards, list(streams.outwards)
    if entered.console is not None:
        outwards = [(entered.console, 1)]
        inwards = (0, os.dup(entered.console)) if asked.interactive else None
    flows = [_flow(loop, source, sink) for source, sink in outwards]
    if inwards:
        _feed(loop, *inwards)
    ended: list[int] = []

    def stop_copying() -> None:
        for flow in flows:
            flow.is_over = True

    def leave(number: int) -> None:
        ended.append(SIGNAL_BASE + number)
        stop_copying()

    insistence = _Insistence(loop, entered, lambda: bool(ended), leave)

    def take(number: int) -> None:
        if number == signal.SIGWINCH:
            _resize(entered)
            return
        if ended and number in ENDING:  # Only a reader that does not read still keeps us.
            stop_copying()
            return
        if is_raw:  # Its keys go inside anyway: this one is meant for us.
            leave(number)
            return
        _send(entered, number)
        if number in ENDING:
            insistence.begin(number)

    def hear_signals() -> None:
        for number in os.read(signals, 64):
            take(number)

    def collect() -> None:
        ended.append(_collect(loop, entered.pidfd))
        for flow in flows:
            flow.finish()

    for number in early:
        take(number)
    loop.on_readable(signals, hear_signals)
    loop.on_readable(entered.pidfd, collect)
    with steps.phase("wait for its end"):
        while not ended or not all(flow.is_over for flow in flows):
            something = loop.turn(copying.LINGER if ended else None)
            waits = not insistence.count and any(flow.waits_for_room for flow in flows)
            if ended and not something and not waits:
                break  # Something that the command left running keeps its output open.
    if entered.console is None:
        attach.leave_behind(one, [flow.source for flow in flows if not flow.has_ended])
    return ended[0]


def _flow(loop: Loop, source: int, sink: int) -> Flow | PipeFlow:
    """Let the kernel move what goes from pipe to pipe; else copy it."""
    if copying.is_pipe(source) and copying.is_pipe(sink):
        return PipeFlow(loop, source, copying.widened(sink))
    os.set_blocking(source, False)
    return Flow(loop, source, sink, closes_sink=False)


def _feed(loop: Loop, source: int, sink: int) -> None:
    """Send what comes from ``source`` to the command, and close ``sink`` at its end."""
    if copying.is_pipe(source) and copying.is_pipe(sink):
        PipeFlow(loop, source, sink, closes_sink=True)
        return
    os.set_blocking(sink, False)  # Output is copied also while the command doesn't read.
    Flow(loop, source, sink, closes_sink=True)


def _send(entered: Entered, number: int) -> None:
    try:
        signal.pidfd_send_signal(entered.pidfd, number)
    except ProcessLookupError:
        pass  # It has just ended.


def _resize(entered: Entered) -> None:
    size = terminal_modes.size_of_first((0, 1, 2))
    if size and entered.console is not None:
        terminals.set_size(entered.console, *size)


def _collect(loop: Loop, pidfd: int) -> int:
    loop.on_readable(pidfd, None)
    return processes.collect(pidfd)
