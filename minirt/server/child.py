"""The command process that the server forks: it waits for a client, and becomes what that was.

The other end of the *house* line is the server: it sends a client's connection, and the line to a
monitor that waits, if there is one. The server hears whether the command takes that, since it may
start a container, or has to have one forked; when it hears nothing but the end, nobody is wanted.
"""

from __future__ import annotations

import array
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass

from minirt.container import birth, protocol
from minirt.kernel import descriptors, inheritance, pages, processes, sockets, steps
from minirt.server.client import ACCEPTED, EXITED, GO, VERSION

_LONGEST = 8 << 20  # bytes: more than execve(2) takes
_MOST_FDS = 64
_PATIENCE = 2.0  # seconds for a client to send what it has, and to leave in the end
_ENDED = socket.SO_PRIORITY  # a mark that the server sees, who has the same end: socket(7)
LINGER = 0.003  # seconds that a command that has ended stays when its client has left
LEAVING = LINGER + 0.01  # seconds after which it is killed all the same


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sent."""

    arguments: list[str]
    environment: dict[bytes, bytes]
    umask: int
    ignored: int  # a bit for each signal
    named: list[int]  # the numbers of further descriptors
    fds: list[int]  # 0, 1, 2, the working directory, and the named ones

    @property
    def highest(self) -> int:
        """Return the highest number that one of them is to get."""
        return max([2, *self.named])


def main(house: socket.socket) -> int:
    """Wait for a client, and run its command line; return the exit status."""
    os.environ.clear()
    time.tzset()  # /etc/localtime may be another than when the server was started.
    pages.copy_for_any(house.fileno())
    try:
        _, (fd, *spare) = protocol.hear_json(house)
    except EOFError:
        return 0  # It was in vain.
    heard = time.monotonic()
    line = socket.socket(fileno=fd)
    try:
        line.settimeout(_PATIENCE)
        request = receive(line)
        line.settimeout(None)
        client, _ = sockets.peer_of(line)
        _remember_client(client)
        line = sockets.moved_above(line, request.highest)
        _ask_for_monitor(house, request, spare)
        _accept(line)
        _become(request, client)
        if line.recv(1) != GO:
            return 1
        steps.remember("server", "hand the command line over", heard, time.monotonic())
    except (OSError, ValueError):
        return 1  # The client has gone, or is none.
    return _run(line, request)


def _remember_client(pid: int) -> None:
    """Remember what the client needed to get here: it only waits from now on."""
    now = time.monotonic()
    with suppress(OSError):  # It has gone, or is in a PID namespace that we don't see.
        began = now - processes.processor_time(pid)
        steps.remember("client", "start an interpreter, call the server", began, now)


def _accept(line: socket.socket) -> None:
    rights = array.array("i", [os.pidfd_open(os.getpid())])
    line.sendmsg([ACCEPTED], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    os.close(rights[0])


def receive(line: socket.socket) -> Request:
    """Read a request. Raises ValueError if it is none, OSError if it does not come."""
    data, controls, _, _ = line.recvmsg(
        8, socket.CMSG_SPACE(_MOST_FDS * 4), socket.MSG_CMSG_CLOEXEC
    )
    fds = array.array("i")
    for _, _, payload in controls:
        fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
    return _understood(_body(line, data), list(fds))


def _ask_for_monitor(house: socket.socket, request: Request, spare: list[int]) -> None:
    with house:
        if not birth.may_be_wanted(request.arguments):
            descriptors.close(spare)
            return
        if spare:
            protocol.tell(house, {"taken": True})
            ours = socket.socket(fileno=spare[0])
        else:
            ours, theirs = protocol.pair()
            with theirs:
                protocol.tell(house, {"keep": True}, (theirs.fileno(),))
    birth.offer(sockets.moved_above(ours, request.highest))


def _run(line: socket.socket, request: Request) -> int:
    from minirt import cli

    try:
        code = cli.run(request.arguments[1:])
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        pass
    kind = next((word for word in request.arguments if word in pages.COMMANDS), pages.OTHER)
    pages.learn(kind)  # not later: the server kills us when the client has left
    try:
        line.setsockopt(socket.SOL_SOCKET, _ENDED, 1)
        line.sendall(EXITED + code.to_bytes(4, "big"))
        # To die takes a millisecond of a processor: first whoever has waited for us, or reads
        # what we have printed.
        processes.close_all_but({line.fileno()})
        line.settimeout(_PATIENCE)
        line.recv(1)
        time.sleep(LINGER)
    except OSError:
        pass  # Nobody to tell.
    return code


def has_ended(line: socket.socket) -> bool:
    """Say whether the command behind this connection has ended, and may stay for a moment."""
    return bool(line.getsockopt(socket.SOL_SOCKET, _ENDED))


def _body(line: socket.socket, size: bytes) -> bytes:
    length = int.from_bytes(size, "big")
    if len(size) != 8 or length > _LONGEST:
        raise ValueError(length)
    body = b""
    while len(body) < length:
        piece = line.recv(length - len(body))
        if not piece:
            raise ValueError("it ends early")
        body += piece
    return body


def _understood(body: bytes, fds: list[int]) -> Request:
    version, state, named, count, *rest = body.split(b"\0")
    if version != VERSION:
        raise ValueError(version)
    umask, ignored = map(int, state.split())
    numbers = [int(word) for word in named.split()]
    if len(fds) != 4 + len(numbers):
        raise ValueError("descriptors are missing")
    arguments = [os.fsdecode(word) for word in rest[: int(count)]]
    lines = [line.partition(b"=") for line in rest[int(count) :] if line]
    environment = {key: value for key, _, value in lines}
    return Request(arguments, environment, umask, ignored, numbers, fds)


def _become(request: Request, client: int) -> None:
    """Take over what the client is: descriptors, folder, environment, limits, signals."""
    *standard, folder = request.fds[:4]
    os.fchdir(folder)
    os.close(folder)
    numbers = [0, 1, 2, *request.named]
    descriptors.renumber(dict(zip(numbers, standard + request.fds[4:], strict=True)))
    for number in request.named:
        os.set_inheritable(number, True)
    os.umask(request.umask)
    inheritance.of(client).take()
    for number in range(1, 32):
        if request.ignored >> number & 1 and number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_IGN)
    if not request.ignored >> signal.SIGINT & 1:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for key, value in request.environment.items():
        os.environb[key] = value
    if b"TZ" in request.environment:
        time.tzset()
    sys.argv[:] = request.arguments
    sys.stdin = os.fdopen(0, "r", closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False, buffering=1 if os.isatty(1) else -1)
    sys.stderr = os.fdopen(2, "w", closefd=False, buffering=1)
