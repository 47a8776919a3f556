"""The fork server: everything imported, nothing open, one fork for each command.

Its children are command processes like any other; the monitors that they fork are adopted by
process 1, so that the server's end is nothing to them, and share the server's memory as
copy-on-write pages. Therefore it stays while a container lives, and leaves when it has not
been asked for :data:`IDLE` seconds, or when minirt's files have changed.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import struct
import time
from pathlib import Path

from minirt.kernel import cgroups, locks, processes
from minirt.server import child, preload
from minirt.server.client import ACCEPTED, REFUSED

IDLE = float(os.environ.get("MINIRT_SERVER_IDLE") or 600)  # seconds
_CREDENTIALS = struct.Struct("iII")  # struct ucred of unix(7): pid, uid, gid
_PATIENCE = 2.0  # seconds for a client to send what it has
_CHECK = 1.0  # seconds between two looks at minirt's own files


def main(folder: str, name: str) -> None:
    """Serve at FOLDER/NAME until there is no reason to any more."""
    place = Path(folder)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
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


class Server:
    """The loop: accept, fork, and tell children whose client has gone."""

    def __init__(self, place: Path, name: str, lock: int, listener: socket.socket) -> None:
        self._place, self._name, self._lock, self._listener = place, name, lock, listener
        self._poll = select.epoll()
        self._poll.register(listener, select.EPOLLIN)
        self._clients: dict[int, tuple[socket.socket, int]] = {}  # descriptor -> line, pidfd
        self._sources = preload.sources()
        self._looked = time.monotonic()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # Children tell their clients themselves.

    def serve(self) -> None:
        """Serve until idle, or until a newer minirt should."""
        while True:
            happened = self._poll.poll(IDLE)
            for fd, _ in happened:
                if fd != self._listener.fileno():
                    self._forget(fd)
                elif not self._accept():
                    return self._step_aside()
            if not happened and not self._clients and not self._has_containers():
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
        pid = os.fork()
        if pid == 0:
            self._become_child(line, request)
        child.close(request)
        try:
            pidfd = os.pidfd_open(pid)
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", pidfd))]
            line.sendmsg([ACCEPTED], rights)
        except OSError:
            return  # The client has gone: the child hears no "go".
        kept = line.dup()
        self._clients[kept.fileno()] = (kept, pidfd)
        # Only the end: what the client says meanwhile is for the child.
        self._poll.register(kept, select.EPOLLRDHUP)

    def _become_child(self, line: socket.socket, request: child.Request) -> None:
        """Leave everything of the server's behind, and run the command."""
        status = processes.CRASHED
        try:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._poll.close()
            self._listener.close()
            os.close(self._lock)
            for other, pidfd in self._clients.values():
                other.close()
                os.close(pidfd)
            status = child.run(line, request)
        finally:
            os._exit(status)

    def _forget(self, fd: int) -> None:
        """Kill the child whose client has gone, as the client's end would have been its own."""
        line, pidfd = self._clients.pop(fd)
        self._poll.unregister(fd)
        line.close()
        try:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        except ProcessLookupError:
            pass  # It has ended: that is why the client has gone.
        os.close(pidfd)

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
