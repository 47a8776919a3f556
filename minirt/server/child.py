"""The command process that the server forks: it becomes what the client was."""

from __future__ import annotations

import array
import os
import resource
import signal
import socket
import sys
import time
from dataclasses import dataclass

from minirt.server.client import EXITED, GO, VERSION

_LONGEST = 8 << 20  # bytes: more than execve(2) takes
_MOST_FDS = 64


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sent."""

    arguments: list[str]
    environment: dict[bytes, bytes]
    umask: int
    niceness: int
    ignored: int  # a bit for each signal
    limits: list[tuple[int, int]]
    named: list[int]  # the numbers of further descriptors
    fds: list[int]  # 0, 1, 2, the working directory, and the named ones


def receive(line: socket.socket) -> Request:
    """Read a request. Raises ValueError if it is none, OSError if it does not come."""
    data, controls, _, _ = line.recvmsg(
        8, socket.CMSG_SPACE(_MOST_FDS * 4), socket.MSG_CMSG_CLOEXEC
    )
    fds = array.array("i")
    for _, _, payload in controls:
        fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
    try:
        return _understood(_body(line, data), list(fds))
    except BaseException:
        for fd in fds:
            os.close(fd)
        raise


def close(request: Request) -> None:
    """Close the descriptors that came with a request."""
    for fd in request.fds:
        os.close(fd)


def run(line: socket.socket, request: Request) -> int:
    """Wait for "go", run the command line, tell its exit status; return it."""
    if line.recv(1) != GO:
        return 1
    _become(request)
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
    try:
        line.sendall(EXITED + code.to_bytes(4, "big"))
    except OSError:
        pass  # Nobody to tell.
    return code


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
    umask, niceness, ignored, *limits = map(int, state.split())
    numbers = [int(word) for word in named.split()]
    if len(fds) != 4 + len(numbers):
        raise ValueError("descriptors are missing")
    arguments = [os.fsdecode(word) for word in rest[: int(count)]]
    lines = [line.partition(b"=") for line in rest[int(count) :] if line]
    environment = {key: value for key, _, value in lines}
    pairs = list(zip(limits[::2], limits[1::2], strict=True))
    return Request(arguments, environment, umask, niceness, ignored, pairs, numbers, fds)


def _become(request: Request) -> None:
    """Take over what the client was: descriptors, folder, environment, limits, signals."""
    os.fchdir(request.fds[3])
    numbers = [0, 1, 2, *request.named]
    sources = [request.fds[number] for number in (0, 1, 2)] + request.fds[4:]
    # Out of each other's way first: a number that is wanted may be taken by another.
    safe = [_above(fd, max(numbers) + 1) for fd in sources]
    for fd, number in zip(safe, numbers, strict=True):
        os.dup2(fd, number, inheritable=number > 2)
    for fd in {*safe, *request.fds} - set(numbers):
        os.close(fd)
    os.umask(request.umask)
    os.setpriority(os.PRIO_PROCESS, 0, request.niceness)
    for number, (soft, hard) in enumerate(request.limits):
        try:
            resource.setrlimit(number, (soft, hard))
        except (OSError, ValueError):
            pass  # Higher than the server may go.
    for number in range(1, 32):
        if request.ignored >> number & 1 and number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_IGN)
    if not request.ignored >> signal.SIGINT & 1:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    for key, value in request.environment.items():
        os.environb[key] = value
    time.tzset()
    sys.argv[:] = request.arguments
    sys.stdin = os.fdopen(0, "r", closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False, buffering=1 if os.isatty(1) else -1)
    sys.stderr = os.fdopen(2, "w", closefd=False, buffering=1)


def _above(fd: int, lowest: int) -> int:
    import fcntl

    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, lowest)
