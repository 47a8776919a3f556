"""The gate of a container whose creator leaves before it starts: a FIFO (fifo(7)).

    start                                   init
      |                                      |   opens it for writing: waits until somebody reads
      |  --- opens it for reading ---------> |
      |  <---- end of file: it runs ---------|   execve closes it (O_CLOEXEC)
      |  <---- or an error ------------------|

Only one start gets through: it first removes the FIFO's name. What has a FIFO has not started.
"""

from __future__ import annotations

import os
import select
import signal
import stat
from pathlib import Path
from types import FrameType

from minirt import errors
from minirt.errors import Conflict, MinirtError
from minirt.kernel.steps import step

_PATH_ONLY = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
# What asks a process to end. The kernel keeps them from process 1 unless it has a handler.
_ENDINGS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


class Answer:
    """The writing end, after the gate has opened: what init says instead of starting."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._fd

    def report(self, error: MinirtError) -> None:
        """Send the reason why the command will not run."""
        try:
            os.write(self._fd, errors.pack(error))
        except OSError:
            pass  # Nobody listens any more.


def make(path: Path) -> None:
    """Make the FIFO."""
    with step("make the gate", "mkfifo", "-m", "600", path):
        os.mkfifo(path, 0o600)


def hold(path: Path) -> int:
    """Name the FIFO by a descriptor that stays valid wherever init goes."""
    return os.open(path, _PATH_ONLY)


def wait(gate: int, own_descriptors: int) -> Answer:
    """Wait until somebody starts the container. Closes both descriptors.

    ``own_descriptors`` is the folder /proc/self/fd, opened while it was in reach.
    """
    for number in _ENDINGS:
        signal.signal(number, _end)
    try:
        fd = os.open(str(gate), os.O_WRONLY | os.O_CLOEXEC, dir_fd=own_descriptors)
    finally:
        for number in _ENDINGS:
            signal.signal(number, signal.SIG_DFL)
    os.close(gate)
    os.close(own_descriptors)
    return Answer(fd)


def _end(number: int, _frame: FrameType | None) -> None:
    os._exit(128 + number)


def open_for(init: int, path: Path) -> None:
    """Let the container go whose ``init`` (a pidfd) waits there; return when its command runs.

    Raises Conflict if it has started before, OSError if it was execve(2) that failed, and
    what else kept it from starting.
    """
    fd = _take(path)
    try:
        message = _read_to_end(fd, init)
    finally:
        os.close(fd)
    if message:
        from minirt.kernel import springboard
        from minirt.runtime.handshake import received

        raise springboard.failure(message) or received(message)


def _take(path: Path) -> int:
    """Open the FIFO for reading, and remove its name."""
    try:
        place = os.open(path, _PATH_ONLY)
    except FileNotFoundError:
        raise Conflict("cannot start an already running container") from None
    try:
        if not stat.S_ISFIFO(os.fstat(place).st_mode):
            raise Conflict("cannot start the container", f"{path} is no FIFO")
        with step("open the gate", "cat", path):
            try:
                path.unlink()
            except FileNotFoundError:
                raise Conflict("cannot start an already running container") from None
            flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
            return os.open(f"/proc/self/fd/{place}", flags)
    finally:
        os.close(place)


def _read_to_end(fd: int, init: int) -> bytes:
    """Read what init says, until it runs or is dead."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.register(init, select.POLLIN)
    message = b""
    while True:
        ready = dict(poll.poll())
        if fd in ready:
            try:
                piece = os.read(fd, 1 << 16)
            except BlockingIOError:
                piece = b""
            if not piece:
                return message
            message += piece
        elif init in ready:
            raise MinirtError("The container did not start", "its init has died")
