"""A person's terminal, connected to a container's monitor: run, start -a, attach."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from types import FrameType

from minirt.container import copying, protocol, record, stop
from minirt.container.copying import PipeFlow
from minirt.container.detaching import DEFAULT, Keys
from minirt.container.loop import Loop, Outbox
from minirt.container.record import Record
from minirt.errors import Conflict
from minirt.kernel import steps, terminal_modes
from minirt.kernel.processes import SIGNAL_BASE

# Signals that are about this process, or can't be passed on; signal(7).
_OWN = {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGPIPE, signal.SIGWINCH}
_OWN |= {signal.SIGURG, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGCONT}
_OWN |= {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT}
ENDING = {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM}
MOST_SIGNALS = 3
DETACHED = -1
KILLED = 137  # 128 + SIGKILL: what a monitor that vanished leaves to be said
FULL = 16  # packets that wait for a container that does not read


def connect(one: Record, *, stdin: bool, output: bool = True) -> socket.socket:
    """Attach to a running container. Raises Conflict if it has just ended."""
    try:
        line = protocol.connect(record.run_directory(one.id))
        protocol.tell(line, {"do": "attach", "stdin": stdin, "output": output})
        protocol.hear_json(line)
    except (OSError, EOFError):
        raise Conflict(f"Cannot attach to container {one.name}", "it has just ended") from None
    return line


def converse(
    one: Record,
    line: socket.socket,
    *,
    stdin: bool,
    proxy: bool = True,
    mask: set[int] | None = None,
    keys: bytes = b"",
    outputs: Iterable[tuple[int, int]] = (),
) -> int:
    """Copy between this process and the container until that ends; return its exit code.

    Signals go to the container if ``proxy``, which may ignore them: the third that is to end it
    ends this process, too, as with Docker's client. From a raw terminal, whose keys go there
    anyway, they end this process, which gives the terminal back first. ``mask`` is what
    :func:`hold_signals` returned. ``outputs`` are pairs of pipes: what the command writes to the
    first is moved to the second. Returns :data:`DETACHED` if the person left, with ``keys`` or
    the usual ones.
    """
    is_raw = one.config.tty and stdin and os.isatty(0)
    passed = passed_on() if proxy else set()
    with (
        caught((ENDING if is_raw else passed) | {signal.SIGWINCH}) as signals,
        terminal_modes.raw(0) if is_raw else nullcontext(),
    ):
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        talk = _Conversation(one, line, signals, outputs, proxy=proxy and not is_raw)
        if one.config.tty:
            talk.tell_size()
        if stdin:
            talk.read_from(0, Keys(keys or DEFAULT) if is_raw else None)
        return talk.until_its_end()


class _Conversation:
    """Both directions, in one loop."""

    def __init__(
        self,
        one: Record,
        line: socket.socket,
        signals: int,
        outputs: Iterable[tuple[int, int]],
        *,
        proxy: bool,
    ) -> None:
        self._one, self._line, self._loop = one, line, Loop()
        self._proxy = proxy
        self._code: int | None = None
        self._endings = 0  # signals passed on that were to end the container
        self._source: int | None = None
        self._flows = [PipeFlow(self._loop, pipe, copying.widened(own)) for pipe, own in outputs]
        self._is_told = False  # the exit code came from the monitor
        line.setblocking(False)
        self._outbox = Outbox(self._loop, line.fileno(), line.send, lambda: None, self._listen)
        self._loop.on_readable(line.fileno(), self._hear)
        self._loop.on_readable(signals, lambda: self._signalled(os.read(signals, 64)))

    def until_its_end(self) -> int:
        """Talk until one side leaves; return the exit code."""
        with steps.phase("wait for its end"):
            while self._code is None:
                self._loop.turn()
            if self._is_told:
                self._move_the_rest()
        leave_behind(self._one, [flow.source for flow in self._flows if not flow.has_ended])
        if steps.pipe_of_phases() is not None:
            self._line.close()  # The monitor waits for that, and who measures for the monitor.
        return self._code

    def _move_the_rest(self) -> None:
        """Move what the command had written before its end, whoever else still holds its output."""
        for flow in self._flows:
            flow.finish()
        happened = True
        while not all(flow.is_over for flow in self._flows):
            if not happened and not any(flow.waits_for_room for flow in self._flows):
                return
            happened = self._loop.turn(copying.LINGER)

    def tell_size(self) -> None:
        """Tell the container how large this terminal is."""
        size = terminal_modes.size_of_first((0, 1, 2))
        if size:
            self._outbox.put(protocol.pack_size(*size))

    def read_from(self, fd: int, keys: Keys | None) -> None:
        """Send what can be read from ``fd``, but for the keys that detach."""
        self._source, self._keys = fd, keys
        self._listen()

    def _listen(self) -> None:
        if self._source is not None and len(self._outbox) < FULL:
            self._loop.on_readable(self._source, self._read)

    def _read(self) -> None:
        assert self._source is not None
        try:
            data = os.read(self._source, protocol.CHUNK)
        except OSError:
            data = b""  # A terminal that was hung up.
        if not data:
            self._loop.forget(self._source)
            self._source = None
            self._outbox.put(protocol.END)
            return
        if self._keys:
            data, is_over = self._keys.take(data)
            if is_over:
                self._code = DETACHED
        if data:
            self._outbox.put(protocol.STDIN + data)
        if self._source is not None and len(self._outbox) >= FULL:
            self._loop.on_readable(self._source, None)

    def _hear(self) -> None:
        try:
            kind, rest, _ = protocol.hear(self._line)
        except BlockingIOError:
            return
        if kind == protocol.EXIT:
            self._code, self._is_told = int(rest), True
            self._loop.forget(self._line.fileno())
        elif kind == b"":
            self._code = KILLED
        elif kind in (protocol.STDOUT, protocol.STDERR):
            try:
                write_all(1 if kind == protocol.STDOUT else 2, rest)
            except BrokenPipeError:
                self._code = SIGNAL_BASE + signal.SIGPIPE  # Who read has gone; so do we.

    def _signalled(self, numbers: bytes) -> None:
        for number in numbers:
            if number == signal.SIGWINCH:
                if self._one.config.tty:
                    self.tell_size()
            elif self._proxy:
                stop.send(self._one, number)
                self._endings += number in ENDING
                if self._endings == MOST_SIGNALS:
                    self._code = SIGNAL_BASE + number
            else:
                self._code = SIGNAL_BASE + number


def leave_behind(one: Record, pipes: list[int]) -> None:
    """Hand pipes that are still written to over to the monitor, which drops what comes.

    As with Docker, what the command left running goes on, and whoever reads our output need not
    wait for it (docs/decisions/exec-ends-with-its-command.md).
    """
    if not pipes:
        return
    with suppress(OSError, EOFError):  # The container ends just now, and they with it.
        line = protocol.connect(record.run_directory(one.id))
        with line:
            protocol.tell(line, {"do": "discard"}, tuple(pipes))
            protocol.hear_json(line)


def write_all(fd: int, data: bytes) -> None:
    """Write everything, waiting as long as that takes. Raises BrokenPipeError."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:  # Somebody else made this terminal or pipe non-blocking.
            os.set_blocking(fd, True)


def passed_on() -> set[signal.Signals]:
    """Return the signals that a command in the foreground passes on.

    Also those that it was started to ignore, as Docker does: a shell lets ``command &`` ignore
    SIGINT and SIGQUIT. But for SIGHUP, which nohup(1) has ignored.
    """
    names = {one for one in signal.Signals if one not in _OWN and one < signal.SIGRTMIN}
    return names - ({signal.SIGHUP} if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else set())


@contextmanager
def caught(numbers: set[signal.Signals]) -> Iterator[int]:
    """Turn signals into bytes that can be read from a descriptor (signal(7), "self-pipe")."""
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    before = {one: signal.signal(one, _nothing) for one in numbers}
    waker = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield reader
    finally:
        signal.set_wakeup_fd(waker)
        for one, handler in before.items():
            signal.signal(one, handler if handler is not None else signal.SIG_DFL)
        os.close(reader)
        os.close(writer)


@contextmanager
def signals_raise() -> Iterator[None]:
    """Let the signals that end a process raise SystemExit in the body: its work gets undone."""

    def leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(SIGNAL_BASE + number)

    numbers = {one for one in ENDING if signal.getsignal(one) == signal.SIG_DFL}
    for one in numbers:
        signal.signal(one, leave)
    try:
        yield
    finally:
        for one in numbers:
            signal.signal(one, signal.SIG_DFL)


def hold_signals() -> set[int]:
    """Let signals wait until :func:`converse` can pass them on; return the mask of before.

    The last act in a body of :func:`signals_raise`: a signal either raises here or waits, so none
    ends this process and leaves its container behind.
    """
    return signal.pthread_sigmask(signal.SIG_BLOCK, passed_on() | ENDING)


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: the byte in the pipe does it."""
