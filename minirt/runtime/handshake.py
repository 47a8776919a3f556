"""The line between the process that creates a container, and its init.

    creator                               init
       |                                    |    born in its namespaces
       |  --- "groups", then "plan" ------> |    only if it was born without one (``birth``)
       |  <--------- "groups" ------------- |    they are made
       |  -------- "outfitted" -----------> |    only if mounts were made for it outside
       |  (wires them up)                   |    (mounts its root)
       |  <--------- "mounted" ------------ |    only if createRuntime hooks wait for it
       |  ---------- "hooked" ------------> |
       |  <--------- "prepared" ----------- |    all but the command; the console comes too
       |  ------------ "go" --------------> |
       |  <---------- "ready" --------------|    it drops its privileges and becomes a springboard
       |  <------ end of file: it runs -----|    execve closes the line (O_CLOEXEC)
       |  <------ or a packed error --------|    after "ready": only the error number of execve

A socket of packets: a word is a packet, and so is an error. When the creator dies, init
hears the end of file and leaves. A creator that wants to leave earlier says "gate" instead of
"go": from then on init waits at the FIFO that it was given (``gate``).

After "ready" the process has no more rights than its container, and others there may have got hold
of it. So whatever else comes from then on is not believed.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

from minirt import errors
from minirt.kernel import descriptors, sockets, springboard

MOUNTED = b"mounted"
HOOKED = b"hooked"
PREPARED = b"prepared"
GO = b"go"
READY = b"ready"  # from a process that becomes a springboard; "go" may come before or after it
GATE = b"gate"
OUTFITTED = b"outfitted"  # mounts come along (``mount_sources``)
GROUPS = b"groups "  # and the name of its cgroup; then from init, without it (``birth``)
PLAN = b"plan "  # and the numbers of the descriptors that come along (``birth``)
BORN = b"born "  # and its number; its descriptor comes along (``user_namespace``)
_TURN = 0.1  # seconds
_LONGEST = 1 << 16  # bytes of a packed error
_STRANGE = ("The command did not start", "its process said something that is no error of execve")
_MOST = 253  # descriptors in one packet: SCM_MAX_FD
_DESCRIPTOR = struct.Struct("i")


class CreatorDied(Exception):
    """The creator closed the line, or died, before it said "go"."""


class Interrupted(Exception):
    """The creator was told to end while it waited."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the creator waits for a process that strangers can stop: ``seconds`` for each word.

    ``is_interrupted`` is asked several times a second whether the creator is to give up now.
    """

    seconds: float
    is_interrupted: Callable[[], bool]

    def wait(self, fd: int) -> None:
        """Return when ``fd`` can be read. Raises Interrupted, Conflict."""
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        deadline = time.monotonic() + self.seconds
        while not poll.poll(_TURN * 1000):
            if self.is_interrupted():
                raise Interrupted
            if time.monotonic() > deadline:
                what = f"The process was not ready within {self.seconds:g} seconds"
                why = "the container may have stopped it, or leave it no processor time"
                raise errors.Conflict(what, why)


class Line:
    """One end."""

    __slots__ = ("_socket",)

    def __init__(self, end: socket.socket) -> None:
        self._socket = end

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._socket.fileno()

    def moved_above(self, fd: int) -> Line:
        """Return the same end under a higher number than ``fd``; this one is closed."""
        return Line(sockets.moved_above(self._socket, fd))

    def close(self) -> None:
        """Let the other side hear the end of file."""
        self._socket.close()

    def say(self, word: bytes, *descriptors: int) -> None:
        """Send a word, and descriptors with it."""
        ancillary = []
        if descriptors:
            packed = b"".join(_DESCRIPTOR.pack(one) for one in descriptors)
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, packed)]
        self._socket.sendmsg([word], ancillary, socket.MSG_NOSIGNAL)

    def await_word(self, *words: bytes) -> bytes:
        """Return when the creator has said one of ``words``, and which. Raises CreatorDied."""
        word = self._socket.recv(_LONGEST)
        if word not in words:
            raise CreatorDied
        return word

    def await_number(self) -> int:
        """Return the number that the creator says. Raises CreatorDied."""
        word = self._socket.recv(_LONGEST)
        if not word.isdigit():
            raise CreatorDied
        return int(word)

    def hear(self, word: bytes, patience: Patience | None = None) -> list[int]:
        """Return when the other has said ``word``, with the descriptors that came along.

        Raises the error that it met instead, and what :meth:`Patience.wait` raises.
        """
        message, fds = self.receive(patience)
        if message != word:
            descriptors.close(fds)
            raise received(message)
        return fds

    def collect(self, word: bytes, count: int, into: list[int]) -> None:
        """Take ``count`` descriptors, which come with one or more of the same word.

        Raises the error that the other side met instead.
        """
        while len(into) < count:
            into += self.hear(word)

    def go(
        self, meanwhile: Callable[[], None] = lambda: None, patience: Patience | None = None
    ) -> None:
        """Let the command run, and do something until it does.

        Raises the error that kept it from doing so, an OSError if that was execve(2)'s; and what
        :meth:`Patience.wait` raises.
        """
        try:
            self.say(GO)
        except (BrokenPipeError, ConnectionResetError):
            pass  # Init is dead already; its last packet says why.
        meanwhile()
        message = self._receive_text(patience)
        if message == READY:
            message = self._receive_text(patience)
            if message:
                raise springboard.failure(message) or errors.MinirtError(*_STRANGE)
        elif message:
            raise springboard.failure(message) or received(message)

    def _receive_text(self, patience: Patience | None) -> bytes:
        """Return the next packet, which is to have no descriptors: they are closed."""
        message, fds = self.receive(patience)
        descriptors.close(fds)
        return message

    def complaint(self) -> errors.MinirtError | None:
        """Return what the other side has met, or that it died, if that is known already."""
        try:
            message = self._socket.recv(_LONGEST, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        return None if message in (MOUNTED, PREPARED, READY) else received(message)

    def report(self, error: errors.MinirtError) -> None:
        """Send the reason why the command will not run."""
        try:
            self.say(errors.pack(error))
        except OSError:
            pass  # Nobody listens any more.

    def receive(self, patience: Patience | None = None) -> tuple[bytes, list[int]]:
        """Return the next packet, empty at the end of file, and the descriptors with it.

        Raises what :meth:`Patience.wait` raises.
        """
        if patience:
            patience.wait(self._socket.fileno())
        space = socket.CMSG_SPACE(_MOST * _DESCRIPTOR.size)
        try:
            message, ancillary, _, _ = self._socket.recvmsg(
                _LONGEST, space, socket.MSG_CMSG_CLOEXEC
            )
        except ConnectionResetError:  # It left with our word unread; what it said is still here.
            message, ancillary, _, _ = self._socket.recvmsg(
                _LONGEST, space, socket.MSG_CMSG_CLOEXEC
            )
        found = [one for _, _, data in ancillary for (one,) in _DESCRIPTOR.iter_unpack(data)]
        return message, found


def open_pair() -> tuple[Line, Line]:
    """Open both ends, before the fork; afterwards each side closes the other's."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Line(ours), Line(theirs)


def of_descriptor(fd: int) -> Line:
    """Return the end that ``fd`` is, which came from another process."""
    return Line(socket.socket(fileno=fd))


def received(message: bytes) -> errors.MinirtError:
    """Return the error that a packet is."""
    if not message:
        return errors.MinirtError("The container did not start", "its init died without a word")
    return errors.unpack(message)
