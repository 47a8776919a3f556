"""The fork server: everything imported, nothing open, one fork for each command.

Its children are command processes like any other, and it tells the client of one that was
killed. The monitors that they fork are adopted by process 1, so that the server's end is nothing
to them, and share the server's memory as copy-on-write pages. Therefore it stays while a
container lives, and leaves when it has not been asked for :data:`IDLE` seconds, or when minirt's
files have changed.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from minirt import state
from minirt.container import keeper, protocol
from minirt.kernel import cgroups, descriptors, locks, processes
from minirt.server import child, preload
from minirt.server.client import ACCEPTED, KILLED, REFUSED

IDLE = float(os.environ.get("MINIRT_SERVER_IDLE") or 600)  # seconds
_CREDENTIALS = struct.Struct("iII")  # struct ucred of unix(7): pid, uid, gid
_PATIENCE = 2.0  # seconds for a client to send what it has
_CHECK = 1.0  # seconds between two looks at minirt's own files


def main(folder: str, name: str) -> None:
    """Serve at FOLDER/NAME until there is no reason to any more."""
    place = state.made(Path(folder))
    try:
        lock = locks.acquire(place / f"{name}.lock")
    except BlockingIOError:
        return  # There is one already.
    own = processes.own_pid_as_seen_from_proc()
    os.pwrite(lock, f"{own} {processes.start_time(own)}\n".encode(), 0)
    preload.everything()
    _leave_the_session()
    with _listen(place, name) as listener:
        gc.collect()
        gc.freeze()  # The collector never writes into these pages, so children share them.
        Server(place, name, lock, listener).serve()


def _leave_the_session() -> None:
    """Be nobody's: stopping a login session or a unit must not stop the server, nor containers."""
    os.chdir("/")
    try:
        cgroups.make("monitors").enter()  # and so are the monitors that it forks
    except OSError:
        pass  # A read-only cgroup tree: then the session's it stays.


def _listen(place: Path, name: str) -> socket.socket:
    (place / name).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    fd = os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        before = os.umask(0o177)
        listener.bind(f"/proc/self/fd/{fd}/{name}")
        os.umask(before)
    finally:
        os.close(fd)
    listener.listen(128)
    return listener


@dataclass(frozen=True, slots=True, eq=False)
class Command:
    """A child that runs a command, and the line to who typed it."""

    line: socket.socket
    pidfd: int

    def close(self) -> None:
        """Close both."""
        self.line.close()
        os.close(self.pidfd)


class Server:
    """The loop: accept, fork, and tell each side of a command that the other has gone."""

    def __init__(self, place: Path, name: str, lock: int, listener: socket.socket) -> None:
        self._place, self._name, self._lock, self._listener = place, name, lock, listener
        self._poll = select.epoll()
        self._poll.register(listener, select.EPOLLIN)
        self._commands: dict[int, Command] = {}  # by either descriptor
        self._keepers: set[int] = set()  # their pidfds
        self._sources = preload.sources()
        self._looked = time.monotonic()
        # Who starts us may ignore it, and then children would not wait to be reaped.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def serve(self) -> None:
        """Serve until idle, or until a newer minirt should."""
        while True:
            happened = [fd for fd, _ in self._poll.poll(IDLE)]
            for fd in happened:
                if fd in self._commands:
                    self._turn(self._commands[fd], fd)
                elif fd in self._keepers:
                    self._bury_keeper(fd)
            # The last: a new command may get the numbers of one that has just ended.
            if self._listener.fileno() in happened and not self._accept():
                return self._step_aside()
            if not happened and not self._commands and not self._has_containers():
                return self._step_aside()

    def _accept(self) -> bool:
        """Start a command; say whether this server may go on."""
        line, _ = self._listener.accept()
        with line:
            if _user_of(line) != os.geteuid():
                return True
            if self._is_outdated():
                line.sendall(REFUSED)
                return False
            try:
                line.settimeout(_PATIENCE)
                request = child.receive(line)
            except (OSError, ValueError):
                return True
            line.settimeout(None)
            self._start(line, request)
        return True

    def _start(self, line: socket.socket, request: child.Request) -> None:
        ends = protocol.pair() if keeper.may_be_wanted(request.arguments) else None
        pid = os.fork()
        if pid == 0:
            if ends is not None:
                ends[1].close()  # Or this process would never hear the end of that one.
                keeper.offer(ends[0])
            self._become_child(line, request)
        child.close(request)
        command = Command(line.dup(), os.pidfd_open(pid))
        self._commands |= {command.line.fileno(): command, command.pidfd: command}
        # Only the end: what the client says meanwhile is for the child.
        self._poll.register(command.line, select.EPOLLRDHUP | select.EPOLLONESHOT)
        self._poll.register(command.pidfd, select.EPOLLIN)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", command.pidfd))]
        with suppress(OSError):  # The client has gone: the child hears no "go".
            line.sendmsg([ACCEPTED], rights)
        if ends is not None:
            ends[0].close()
            self._start_keeper(ends[1])

    def _start_keeper(self, line: socket.socket) -> None:
        """Fork the one that keeps the container that the command may start."""
        with line:
            try:
                pidfd = keeper.start(line)
            except OSError:
                return  # Without one, the command does it all, or says why it can't.
        self._keepers.add(pidfd)
        self._poll.register(pidfd, select.EPOLLIN)

    def _bury_keeper(self, pidfd: int) -> None:
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        self._keepers.remove(pidfd)
        self._poll.unregister(pidfd)
        os.close(pidfd)

    def _become_child(self, line: socket.socket, request: child.Request) -> None:
        """Leave everything of the server's behind, and run the command."""
        status = processes.CRASHED
        try:
            self._poll.close()
            self._listener.close()
            os.close(self._lock)
            for other in set(self._commands.values()):
                other.close()
            descriptors.close(self._keepers)
            status = child.run(line, request)
        finally:
            os._exit(status)

    def _turn(self, command: Command, fd: int) -> None:
        """Hear that one side of a command has gone."""
        if fd == command.pidfd:
            self._bury(command)
        else:  # As the client's end would have been the command's own.
            signal.pidfd_send_signal(command.pidfd, signal.SIGKILL)

    def _bury(self, command: Command) -> None:
        """Reap a child; of what has killed it, it couldn't tell its client itself."""
        ended = os.waitid(os.P_PIDFD, command.pidfd, os.WEXITED)
        if ended and ended.si_code != os.CLD_EXITED:
            with suppress(OSError):
                command.line.sendall(KILLED + ended.si_status.to_bytes(4, "big"))
        for fd in (command.line.fileno(), command.pidfd):
            self._poll.unregister(fd)  # Closing is not enough: the client has a copy.
            del self._commands[fd]
        command.close()

    def _is_outdated(self) -> bool:
        """Say whether minirt's files are others than those that were imported."""
        now = time.monotonic()
        if now - self._looked < _CHECK:
            return False
        self._looked = now
        return preload.sources() != self._sources

    def _has_containers(self) -> bool:
        """Say whether a container lives, whose monitor may have its memory from here."""
        return any(map(locks.is_held, (self._place.parent / "containers").glob("*/alive")))

    def _step_aside(self) -> None:
        (self._place / self._name).unlink(missing_ok=True)


def _user_of(line: socket.socket) -> int:
    packed = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(packed)[1])
