"""The terminal of a container: handed to a caller by a socket, or carried to one's own.

In the second case the container's terminal does not translate newlines: the caller's does, if it
is one. So output that goes into a pipe or a file has no carriage returns, as with runc.
"""

from __future__ import annotations

import os
import select
import signal
import socket
from contextlib import suppress
from pathlib import Path
from types import FrameType

from minirt.errors import InvalidRequest
from minirt.kernel import processes, sockets, terminal_modes, terminals

# All that a person or a service manager may send; SIGCHLD is about our own children.
_PASSED_ON = (
    *(signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1),
    *(signal.SIGUSR2, signal.SIGCONT, signal.SIGALRM),
)


ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
_MOST_SIGNALS = 3  # of these: the last one kills the process
_STOPPED = 1.0  # seconds after the first of these, when a process that is stopped is killed


def send(path: str, descriptor: int, name: str) -> None:
    """Send a descriptor to a Unix socket, SCM_RIGHTS of unix(7). Raises InvalidRequest."""
    place = Path(path).absolute()
    try:
        with (
            sockets.name_in(place.parent, place.name) as short,
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection,
        ):
            connection.setblocking(False)  # As with runc, nobody waits for who does not listen.
            connection.connect(short)
            socket.send_fds(connection, [name.encode()], [descriptor])
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise InvalidRequest(f"cannot send to the socket {path}", why) from error


def is_told_to_end() -> bool:
    """Say whether a signal is held (:func:`hold_signals`) that ends a process."""
    return bool(signal.sigpending() & set(ENDING))


def hold_signals() -> None:
    """Keep what is to be passed on until there is somebody to pass it to: :func:`accompany`."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (*_PASSED_ON, signal.SIGWINCH))


def accompany(pidfd: int, master: int | None, *, kill_if_stopped: bool = False) -> int:
    """Pass signals, keys and output on until the process ends; return its exit code.

    ``kill_if_stopped`` is as for :func:`let_signals_pass`.
    """
    let_signals_pass(pidfd, master, kill_if_stopped=kill_if_stopped)
    if master is not None and os.isatty(0):
        follow_size(master)
        with terminal_modes.raw(0, translates_output=True):
            _carry(pidfd, master)
    elif master is not None:
        _carry(pidfd, master)
    return processes.collect(pidfd)


def _carry(pidfd: int, master: int) -> None:
    """Copy between the standard streams and the terminal."""
    poll = select.poll()
    for fd in (0, master, pidfd):
        poll.register(fd, select.POLLIN)
    while True:
        ready = dict(poll.poll())
        if 0 in ready:
            typed = _read(0)
            if typed:
                _write(master, typed)
            else:
                poll.unregister(0)
        if master in ready:
            shown = _read(master)
            if not shown:
                return  # EIO: nobody has the terminal open any more.
            _write(1, shown)
        elif pidfd in ready:
            return


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 1 << 16)
    except OSError:
        return b""


def _write(fd: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(fd, data) :]
        except OSError:
            return  # Who reads has gone.


def size_of_caller() -> tuple[int, int] | None:
    """Return rows and columns of the caller's terminal; None if there is none."""
    return terminal_modes.size_of_first((0, 1, 2))


def follow_size(master: int) -> None:
    """Give the terminal the size of the caller's, if that has one."""
    size = size_of_caller()
    if size:
        terminals.set_size(master, *size)


def _kill_if_stopped(pidfd: int) -> None:
    with suppress(ProcessLookupError):
        if processes.is_stopped(processes.pid_as_seen_from_proc(pidfd)):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)


def let_signals_pass(
    pidfd: int, master: int | None = None, *, kill_if_stopped: bool = False
) -> None:
    """Pass signals on to the process from here on, also those that were held.

    The third signal of :data:`ENDING` is SIGKILL. With ``kill_if_stopped`` a process that is
    stopped or traced, and so does not receive the first one, is killed a second later.
    """
    told: list[int] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        if number in ENDING:
            told.append(number)
        kills = len(told) >= _MOST_SIGNALS
        try:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL if kills else number)
        except ProcessLookupError:
            return
        if kill_if_stopped and told and not kills:
            from threading import Timer  # half a millisecond, and few processes are stopped

            timer = Timer(_STOPPED, lambda: _kill_if_stopped(pidfd))
            timer.daemon = True  # It keeps no process that has nothing else to do.
            timer.start()

    def resize(_number: int, _frame: FrameType | None) -> None:
        if master is not None:
            follow_size(master)

    for number in _PASSED_ON:
        signal.signal(number, pass_on)
    signal.signal(signal.SIGWINCH, resize)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (*_PASSED_ON, signal.SIGWINCH))
