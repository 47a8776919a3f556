"""The fork server: everything imported, nothing open, one fork for each command.

Its children are command processes like any other, and it tells the client of one that was
killed; and the monitors of containers, which the commands ask for. When it ends, process 1 adopts
them, so that its end is nothing to them. They share its memory as copy-on-write pages. Therefore
it stays while a container lives, and leaves when it has not been asked for :data:`IDLE` seconds,
or when minirt's files have changed.

A fork takes a millisecond or two. So when a command has ended the server has the next child *ready*
and a monitor to *spare*, forked while nobody waits, for a while. The spare one goes along with each
command, which takes it or gives it back.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path

from minirt import state
from minirt.container import birth, protocol
from minirt.kernel import descriptors, locks, memory, pages, processes, sockets
from minirt.network import leases
from minirt.server import child, immortal, preload, session
from minirt.server.client import KILLED, REFUSED
from minirt.server.forked import Child
from minirt.server.sources import Sources

IDLE = float(os.environ.get("MINIRT_SERVER_IDLE") or 600)  # seconds
_BACKLOG = 128  # clients that wait to be heard
_READY = 5.0  # seconds that a child waits for a command
# Seconds from the end of a client's connection to the next fork. The kernel closes what a dying
# process has open before it lets anyone know of its death, and a fork may take its processor.
_A_MOMENT = 0.001


def main(folder: str, name: str) -> None:
    """Serve at FOLDER/NAME until there is no reason to any more."""
    state.check_own(Path(folder), "a place for the server's socket")
    place = state.made(Path(folder))
    try:
        lock = locks.acquire(place / f"{name}.lock")
    except BlockingIOError:
        return  # There is one already.
    own = processes.own_pid_as_seen_from_proc()
    os.pwrite(lock, f"{own} {processes.start_time(own)}\n".encode(), 0)
    sources = Sources()  # before they are imported
    preload.everything()
    session.leave()
    with sockets.listen_at(place, name, socket.SOCK_STREAM, _BACKLOG) as listener:
        gc.collect()
        immortal.make_all()  # Neither who looks at what is there
        gc.freeze()  # nor the collector writes into these pages, so children share them.
        memory.make_huge()
        pages.open_books()
        Server(place, name, lock, listener, sources).serve()


class Server:
    """The loop: accept, fork, and tell each side of a command that the other has gone."""

    def __init__(
        self, place: Path, name: str, lock: int, listener: socket.socket, sources: Sources
    ) -> None:
        self._place, self._name, self._lock, self._listener = place, name, lock, listener
        self._sources = sources
        self._poll = select.epoll()
        self._poll.register(listener, select.EPOLLIN)
        self._children: dict[int, Child] = {}  # by each of their descriptors
        self._ready: Child | None = None
        self._spare: socket.socket | None = None  # the line to a monitor that nobody has
        self._monitors: set[int] = set()  # the pidfds of all
        self._sweeper = -1  # the pidfd of the process that closes ports of the dead; -1: none
        self._is_sweep_due = False  # another monitor was killed while that process ran

    def serve(self) -> None:
        """Serve until idle, or until a newer minirt should."""
        self._get_ready()
        self._sweep()
        while True:
            happened = self._wait()
            was_busy = self._is_busy()
            for fd in happened:
                if fd in self._children:
                    self._turn(self._children[fd], fd)
                elif fd in self._monitors:
                    self._bury_monitor(fd)
                elif fd == self._sweeper:
                    self._end_sweep()
            # The last: what is new may get the numbers of one that has just ended.
            if self._listener.fileno() in happened and not self._accept():
                return self._step_aside()
            if was_busy and not self._is_busy():
                time.sleep(_A_MOMENT)
                self._get_ready()
            elif not happened and self._ready:
                signal.pidfd_send_signal(self._ready.pidfd, signal.SIGKILL)
                self._bury(self._ready)
                self._keep_spare(None)
            elif not happened and not self._children and not self._has_containers():
                return self._step_aside()

    def _wait(self) -> list[int]:
        """Return where something has happened; nothing: it took too long."""
        while leavers := {one for one in self._children.values() if one.until}:
            happened = [fd for fd, _ in self._poll.poll(child.LEAVING)]
            for one in leavers:
                if one.until < time.monotonic():
                    signal.pidfd_send_signal(one.pidfd, signal.SIGKILL)
            if happened:
                return happened
        return [fd for fd, _ in self._poll.poll(min(IDLE, _READY) if self._ready else IDLE)]

    def _get_ready(self) -> None:
        """Fork while nobody waits what the next command needs."""
        self._ready = self._ready or self._fork()
        if self._spare is None:
            self._spare, theirs = protocol.pair()
            self._fork_monitor(theirs)

    def _keep_spare(self, line: socket.socket | None) -> None:
        if self._spare is not None:
            self._spare.close()  # It leaves.
        self._spare = line

    def _is_busy(self) -> bool:
        """Say whether a client waits for its command."""
        return any(one.line and not one.until for one in self._children.values())

    def _accept(self) -> bool:
        """Give a command to a child; say whether this server may go on."""
        line, _ = self._listener.accept()
        if sockets.peer_of(line)[1] != os.geteuid():
            line.close()
        elif self._sources.have_changed():
            with line, suppress(OSError):  # It has gone on alone.
                line.sendall(REFUSED)
            return False
        else:
            self._give(line)
        return True

    def _give(self, line: socket.socket) -> None:
        one, self._ready = self._ready or self._fork(), None
        one.line = line
        if self._spare is not None and sockets.has_hung_up(self._spare):
            self._keep_spare(None)  # It was killed.
        one.spare, self._spare = self._spare, None
        self._children[line.fileno()] = one
        # Only the end: what the client says is for the child.
        self._poll.register(line, select.EPOLLRDHUP | select.EPOLLONESHOT)
        with suppress(OSError):  # It was killed.
            fds = [given.fileno() for given in (line, one.spare) if given is not None]
            protocol.tell(one.house, {"serve": True}, tuple(fds))

    def _fork(self) -> Child:
        ours, theirs = protocol.pair()
        pid = os.fork()
        if pid == 0:
            ours.close()
            self._become_child(theirs)
        theirs.close()
        one = Child(os.pidfd_open(pid), ours)
        self._children |= dict.fromkeys(one.numbers(), one)
        self._poll.register(one.house, select.EPOLLIN | select.EPOLLONESHOT)
        self._poll.register(one.pidfd, select.EPOLLIN)
        return one

    def _become_child(self, house: socket.socket) -> None:
        """Leave everything of the server's behind, and wait for a command."""
        status = processes.CRASHED
        try:
            self._leave_behind()
            status = child.main(house)
        finally:
            os._exit(status)

    def _leave_behind(self) -> None:
        """Close what a child has of the server's."""
        self._poll.close()
        self._listener.close()
        self._sources.close()
        os.close(self._lock)
        for other in set(self._children.values()):
            other.close()
        self._keep_spare(None)
        descriptors.close(self._monitors)
        if self._sweeper >= 0:
            os.close(self._sweeper)

    def _turn(self, one: Child, fd: int) -> None:
        """Hear that one side of a command has gone, or that a monitor is wanted."""
        if fd == one.pidfd:
            self._bury(one)
        elif fd == one.house.fileno():
            self._hear_of_monitor(one)
        else:
            one.until = time.monotonic() + child.LEAVING
            if one.line is None or not child.has_ended(one.line):
                # As the client's end would have been the command's own.
                signal.pidfd_send_signal(one.pidfd, signal.SIGKILL)

    def _hear_of_monitor(self, one: Child) -> None:
        """Hear whether the command takes the spare monitor, wants one forked, or needs none."""
        kind, _, fds = protocol.hear(one.house)
        for fd in fds:
            self._fork_monitor(socket.socket(fileno=fd))
        spare, one.spare = one.spare, None
        if spare is not None and kind:
            spare.close()  # It is the command's now, whose end it is to hear.
        elif spare is not None:
            self._keep_spare(spare)

    def _fork_monitor(self, line: socket.socket) -> None:
        """Fork who keeps a container, for who is at the other end of ``line``."""
        with line, suppress(OSError):  # Without one, the command forks its own.
            pidfd = birth.fork_ahead(line)
            self._monitors.add(pidfd)
            self._poll.register(pidfd, select.EPOLLIN)

    def _bury_monitor(self, pidfd: int) -> None:
        ended = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        self._monitors.remove(pidfd)
        self._poll.unregister(pidfd)
        os.close(pidfd)
        if ended and ended.si_code != os.CLD_EXITED:
            self._sweep()

    def _sweep(self) -> None:
        """Fork a process that closes the published ports of monitors that were killed.

        Nobody else does before the next command that changes something, and until then the
        host's own connections to such a port go to a dead address (rules.nft, "output").
        """
        if self._sweeper >= 0:
            self._is_sweep_due = True
            return
        if not leases.has_dead():
            return
        pid = os.fork()
        if pid == 0:
            try:
                self._leave_behind()
                leases.sweep()
            finally:
                os._exit(0)
        self._sweeper = os.pidfd_open(pid)
        self._poll.register(self._sweeper, select.EPOLLIN)

    def _end_sweep(self) -> None:
        os.waitid(os.P_PIDFD, self._sweeper, os.WEXITED)
        self._poll.unregister(self._sweeper)
        os.close(self._sweeper)
        self._sweeper = -1
        if self._is_sweep_due:
            self._is_sweep_due = False
            self._sweep()

    def _bury(self, one: Child) -> None:
        """Reap a child; of what has killed it, it couldn't tell its client itself."""
        ended = os.waitid(os.P_PIDFD, one.pidfd, os.WEXITED)
        if one.line and ended and ended.si_code != os.CLD_EXITED:
            with suppress(OSError):
                one.line.sendall(KILLED + ended.si_status.to_bytes(4, "big"))
        for fd in one.numbers():
            self._poll.unregister(fd)  # Closing is not enough: the client has a copy.
            del self._children[fd]
        one.close()
        if one is self._ready:
            self._ready = None

    def _has_containers(self) -> bool:
        """Say whether a container lives, whose monitor may have its memory from here."""
        return any(map(locks.is_held, (self._place.parent / "containers").glob("*/alive")))

    def _step_aside(self) -> None:
        (self._place / self._name).unlink(missing_ok=True)
