"""What is said between a monitor and those who talk to it.

The socket is RUN/containers/ID/monitor.sock, SOCK_SEQPACKET (unix(7)): one message is one
packet, so no length is sent. Only root can reach it: the folder above is closed to others, and
each side asks the kernel who the other is (SO_PEERCRED).

A packet begins with one byte that tells its kind:

    J  a JSON object: a request, or its answer; descriptors may travel with it (SCM_RIGHTS)
    0  bytes for the command's standard input          E  the end of that input
    1  bytes of its standard output                    2  bytes of its standard error
    W  the size of the terminal: rows, columns         X  the command has ended: its exit code
"""

from __future__ import annotations

import json
import socket
import struct
from pathlib import Path
from typing import Any

from minirt.kernel import sockets

JSON, STDIN, STDOUT, STDERR, END, SIZE, EXIT = b"J", b"0", b"1", b"2", b"E", b"W", b"X"

_NAME = "monitor.sock"
CHUNK = 32 << 10  # bytes of a stream in one packet: well below the least socket buffer
_BIGGEST = 256 << 10  # bytes of a packet that we are ready to take
_MOST_FDS = 64  # below SCM_MAX_FD, 253 (unix(7))
_SIZE = struct.Struct("!HH")


def pair() -> tuple[socket.socket, socket.socket]:
    """Return two connected ends, for a parent and its child."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def listen(folder: Path) -> socket.socket:
    """Listen at FOLDER/monitor.sock, replacing what a dead monitor left there."""
    return sockets.listen_at(folder, _NAME, socket.SOCK_SEQPACKET, 64)


def connect(folder: Path) -> socket.socket:
    """Connect to the monitor. Raises ConnectionRefusedError or FileNotFoundError if it is dead."""
    return sockets.connect_to(folder, _NAME, socket.SOCK_SEQPACKET)


def tell(line: socket.socket, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
    """Send a JSON object and descriptors; waits for room. Raises BrokenPipeError."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack(f"{len(fds)}i", *fds))]
    line.sendmsg([JSON + json.dumps(message).encode()], rights if fds else [])


def hear(line: socket.socket) -> tuple[bytes, bytes, list[int]]:
    """Receive one packet: its kind, the rest, and descriptors (close-on-exec).

    The kind is b"" when the other side has left. Raises BlockingIOError if told not to wait.
    """
    space = socket.CMSG_SPACE(_MOST_FDS * 4)
    try:
        data, controls, _, _ = line.recvmsg(_BIGGEST, space, socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:
        # Told once, and first, to who has sent what the other never read. Its words follow.
        data, controls, _, _ = line.recvmsg(_BIGGEST, space, socket.MSG_CMSG_CLOEXEC)
    fds: list[int] = []
    for level, kind, payload in controls:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds += struct.unpack(f"{len(payload) // 4}i", payload[: len(payload) // 4 * 4])
    return data[:1], data[1:], fds


def hear_json(line: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Receive a JSON object. Raises EOFError if the other side has left."""
    kind, rest, fds = hear(line)
    if kind != JSON:
        raise EOFError
    message = json.loads(rest)
    assert isinstance(message, dict)
    return message, fds


def pack_size(rows: int, columns: int) -> bytes:
    """Return the packet that tells the size of a terminal."""
    return SIZE + _SIZE.pack(rows, columns)


def unpack_size(rest: bytes) -> tuple[int, int]:
    """Return rows and columns of such a packet, without its first byte."""
    rows, columns = _SIZE.unpack(rest)
    return rows, columns
