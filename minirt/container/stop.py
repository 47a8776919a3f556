"""Signals for a container, and waiting for its end."""

from __future__ import annotations

import math
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from contextlib import closing

from minirt.container import ending, lifecycle, protocol, record, signals
from minirt.container.record import Record
from minirt.errors import InvalidRequest
from minirt.kernel import descriptors, processes
from minirt.kernel.steps import step

DEFAULT_STOP_SIGNAL = "SIGTERM"
DEFAULT_STOP_TIMEOUT = 10  # seconds
KILL_PATIENCE = 10  # seconds that the kernel may need to end a process that was killed


def send(one: Record, number: int) -> bool:
    """Send a signal to the container's init; say whether it was there to get it.

    As with Docker a paused container gets most signals when it goes on, and goes on at once for
    one that is to end it.
    """
    init = lifecycle.init_of(one)
    if init is None:
        return False
    try:
        pidfd = processes.open_pidfd(*init)
    except ProcessLookupError:
        return False
    try:
        with step("send it a signal", "kill", f"-{number}", init[0]):
            signal.pidfd_send_signal(pidfd, number)
        if number in (signal.SIGKILL, stop_signal(one)):
            _let_go_on(one)
    except ProcessLookupError:
        return False
    finally:
        os.close(pidfd)
    return True


def stop_signal(one: Record) -> int:
    """Return the signal that asks the container to end.

    The configuration of an image may have any text in its place. As with Docker a text that is no
    signal counts as none at all: the container must not be impossible to stop.
    """
    try:
        return signals.number(one.config.stop_signal or DEFAULT_STOP_SIGNAL)
    except InvalidRequest:
        return signals.number(DEFAULT_STOP_SIGNAL)


def _let_go_on(one: Record) -> None:
    if lifecycle.is_paused(one):
        lifecycle.group_of(one).thaw()


def begin_stop(
    one: Record, seconds: int | None = None, *, restarts: bool = False
) -> Callable[[], None]:
    """Ask the container to end; return what waits until it has, and all that it held is free.

    If it has not ended ``seconds`` after it was asked, it is killed (-1: wait for ever). If the
    caller ``restarts`` it, its monitor keeps it although it has --rm.
    """
    patience = one.config.stop_timeout if seconds is None else seconds
    patience = DEFAULT_STOP_TIMEOUT if patience is None else patience
    waiter = Waiter(one, restarts=restarts)
    send(one, stop_signal(one))
    deadline = math.inf if patience < 0 else time.monotonic() + patience

    def wait() -> None:
        with closing(waiter):
            if not waiter.wait(max(0.0, deadline - time.monotonic())):
                begin_kill(one)()

    return wait


def begin_kill(one: Record) -> Callable[[], None]:
    """Kill the container; return what waits until all that it held is free."""
    waiter = Waiter(one)
    send(one, signal.SIGKILL)

    def wait() -> None:
        with closing(waiter):
            if not waiter.wait(KILL_PATIENCE):
                _kill_monitor(one)

    return wait


def wait(one: Record) -> int:
    """Wait until the container has ended; return its exit code.

    Raises NotFound if it was removed before the monitor could be asked for the exit code.
    """
    with closing(Waiter(one)) as waiter:
        waiter.wait(math.inf)
        if waiter.code is not None:
            return waiter.code
    lifecycle.check_is_there(one)  # With a --rm container its exit code is gone.
    return lifecycle.last_run(one).exit_code


class Waiter:
    """Waits for the end of a container: its monitor tells the exit code when all is free.

    To a monitor that does not listen yet, or no longer, there is its pidfd, which can be read
    when it is dead and all processes of its PID namespace with it (pid_namespaces(7)).
    """

    def __init__(self, one: Record, *, restarts: bool = False) -> None:
        self.code: int | None = None
        self._one = one
        self._line = self._attach(one, restarts=restarts)
        self._pidfd = None if self._line else lifecycle.open_monitor(one)

    def wait(self, seconds: float) -> bool:
        """Wait for the end, perhaps for ever (infinity); say whether it came."""
        source = self._line.fileno() if self._line else self._pidfd
        if source is None:
            return True
        poll = select.poll()
        poll.register(source, select.POLLIN)
        if not poll.poll(None if math.isinf(seconds) else seconds * 1000):
            return False
        if self._line:
            kind, rest, _ = protocol.hear(self._line)
            self.code = int(rest) if kind == protocol.EXIT else lifecycle.KILLED
        return True

    def close(self) -> None:
        """Leave the monitor, which dies then: that takes a processor for a millisecond.

        So late, except where it has to take the last of the container away before.
        """
        if self._line and ending.is_forgotten(self._one):
            self._line.close()
        elif self._line:
            descriptors.leave(self._line.detach())
        if self._pidfd is not None:
            os.close(self._pidfd)

    def _attach(self, one: Record, *, restarts: bool) -> socket.socket | None:
        request = {"do": "attach", "stdin": False, "output": False, "restarts": restarts}
        try:
            line = protocol.connect(record.run_directory(one.id))
            protocol.tell(line, request)
            protocol.hear_json(line)
        except (OSError, EOFError):
            return None
        return line


def _kill_monitor(one: Record) -> None:
    """Kill a monitor that does not end although its container is dead."""
    pidfd = lifecycle.open_monitor(one)
    if pidfd is None:
        return
    with step("kill its monitor", "kill", "-KILL", "$MONITOR"):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    processes.wait_until_dead(pidfd, KILL_PATIENCE)
    os.close(pidfd)
