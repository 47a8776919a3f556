"""The gate of a container whose creator leaves before it starts: a listening socket, unix(7).

    start                                   init
      |                                      |   has the socket from its creator, and accepts
      |  --- connects ---------------------> |
      |  <---- OPEN -------------------------|
      |  <---- end of file: it runs ---------|   execve closes the connection (O_CLOEXEC)
      |  <---- or an error ------------------|

Only one start gets through: it first removes the socket's name. What has that name has not started.

Init needs no path to the socket and no /proc, which belongs to the container by then: between
create and start it has nothing of the host's open but its streams and this socket.
"""

from __future__ import annotations

import os
import select
import signal
import socket
from pathlib import Path
from types import FrameType

from minirt import errors
from minirt.errors import Conflict, MinirtError
from minirt.kernel import sockets
from minirt.kernel.steps import step

_OPEN = b"\n"  # the first byte of each connection that was accepted
# What asks a process to end. The kernel keeps them from process 1 unless it has a handler.
_ENDINGS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


class Answer:
    """The connection of the start: by it init says why it does not become the command."""

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


def make(path: Path) -> int:
    """Make the gate; return its socket, for init. Raises OSError."""
    with (
        step("make the gate", "nc", "-lU", path),
        sockets.name_in(path.parent, path.name) as name,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener,
    ):
        umask = os.umask(0o177)
        try:
            listener.bind(name)
        finally:
            os.umask(umask)
        listener.listen(1)
        return listener.detach()


def wait(gate: int) -> Answer:
    """Wait until somebody starts the container. Closes the gate."""
    for number in _ENDINGS:
        signal.signal(number, _end)
    try:
        with socket.socket(fileno=gate) as listener:
            connection, _ = listener.accept()
    finally:
        for number in _ENDINGS:
            signal.signal(number, signal.SIG_DFL)
    connection.sendall(_OPEN)
    return Answer(connection.detach())


def _end(number: int, _frame: FrameType | None) -> None:
    os._exit(128 + number)


def open_for(init: int, path: Path) -> None:
    """Let the container go whose ``init`` (a pidfd) waits there; return when its command runs.

    Raises Conflict if it has started before, OSError if it was execve(2) that failed, and
    what else kept it from starting.
    """
    with _taken(path) as connection:
        message = _read_to_end(connection.fileno(), init)
    if not message.startswith(_OPEN):
        raise MinirtError("The container did not start", "its init has died")
    message = message.removeprefix(_OPEN)
    if message:
        from minirt.kernel import springboard
        from minirt.runtime.handshake import received

        raise springboard.failure(message) or received(message)


def _taken(path: Path) -> socket.socket:
    """Connect to the socket, and before that remove its name."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Of two that rename only one succeeds; and connect(2) needs a name.
        taken = f"{path.name}.taken"
        with step("open the gate", "nc", "-U", path):
            os.rename(path.name, taken, src_dir_fd=folder, dst_dir_fd=folder)
            try:
                connection.connect(f"/proc/self/fd/{folder}/{taken}")
            finally:
                os.unlink(taken, dir_fd=folder)
    except BaseException as error:
        connection.close()
        if isinstance(error, FileNotFoundError):
            raise Conflict("cannot start an already running container") from None
        raise
    finally:
        os.close(folder)
    return connection


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
            except ConnectionResetError:  # It died before it had accepted the connection.
                return message
            if not piece:
                return message
            message += piece
        elif init in ready:
            raise MinirtError("The container did not start", "its init has died")
