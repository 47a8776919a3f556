"""Sockets: those that hold a port and never speak (ip(7), tcp(7), udp(7)), and names (unix(7))."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from minirt.kernel.steps import announce

_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
# Connections that wait for accept(2). Of IPv4 nobody accepts any: the packet filter leads
# what comes elsewhere.
_BACKLOG = {socket.AF_INET: 1, socket.AF_INET6: 128}

_CREDENTIALS = struct.Struct("iII")  # struct ucred of unix(7): pid, uid, gid
_LOW, _FD_SETSIZE = 256, 1024


def hold(protocol: str, address: str, port: int, *, mark: int) -> socket.socket:
    """Take a port, so that nobody else can; 0: any one that is free.

    It can be taken although old connections linger on it (SO_REUSEADDR, socket(7)), and is
    found by the packet filter's "socket mark".
    Raises OSError: EADDRINUSE, EADDRNOTAVAIL, EACCES.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    held = socket.socket(family, _KINDS[protocol] | socket.SOCK_CLOEXEC)
    try:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
        if family == socket.AF_INET6:
            held.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if protocol == "tcp":
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((address, port))
        if protocol == "tcp":
            held.listen(_BACKLOG[family])
    except OSError:
        held.close()
        raise
    number = held.getsockname()[1]
    host = f"[{address}]" if ":" in address else address
    announce("hold a port of the host", "nc", *_words(protocol), "-l", host, number)
    return _out_of_the_way(held)


def has_hung_up(line: socket.socket) -> bool:
    """Say whether nobody has the other end of a connection any more (poll(2), POLLHUP)."""
    poll = select.poll()
    poll.register(line, 0)
    return bool(poll.poll(0))


def _out_of_the_way(held: socket.socket) -> socket.socket:
    """Give one of many sockets a high number, and leave the low ones to who can't do without.

    libnftables waits with select(2), which is the end of a process that has opened a thousand.
    """
    if held.fileno() < _LOW:
        return held
    try:
        return moved_above(held, _FD_SETSIZE - 1)
    except OSError:  # RLIMIT_NOFILE is not more than that
        return held


def _words(protocol: str) -> list[str]:
    return ["-u"] if protocol == "udp" else []


def listen_at(folder: Path, name: str, kind: int, backlog: int) -> socket.socket:
    """Listen at FOLDER/NAME, for root alone and whatever the umask; a dead listener's is replaced.

    The file's mode is the socket's (unix_bind() of net/unix/af_unix.c), so it is never another.
    Raises OSError.
    """
    listener = socket.socket(socket.AF_UNIX, kind)
    try:
        (folder / name).unlink(missing_ok=True)
        os.fchmod(listener.fileno(), 0o600)
        with name_in(folder, name) as path:
            listener.bind(path)
        listener.listen(backlog)
    except BaseException:
        listener.close()
        raise
    return listener


def connect_to(folder: Path, name: str, kind: int, timeout: float | None = None) -> socket.socket:
    """Connect to FOLDER/NAME, at which a process of our own user must listen.

    The caller has sent nothing yet, so nobody else learns anything. Raises FileNotFoundError or
    ConnectionRefusedError where nobody listens, ForeignPeer where another user does.
    """
    line = socket.socket(socket.AF_UNIX, kind)
    try:
        line.settimeout(timeout)
        with name_in(folder, name) as path:
            line.connect(path)
        user = peer_of(line)[1]
        if user != os.geteuid():
            raise ForeignPeer(f"user {user} listens at {folder / name}, who is not to be trusted")
    except BaseException:
        line.close()
        raise
    return line


class ForeignPeer(OSError):
    """Another user has the other end of a connection."""


def peer_of(line: socket.socket) -> tuple[int, int]:
    """Return PID and user of the process that called connect(2) or listen(2) (unix(7))."""
    packed = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, user, _ = _CREDENTIALS.unpack(packed)
    return pid, user


@contextmanager
def name_in(folder: Path, name: str) -> Iterator[str]:
    """Give the path of a Unix socket, to bind or to connect to, however deep its folder lies.

    It leads there by a descriptor, since sun_path ends at 107 bytes (unix(7)). Raises OSError.
    """
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{name}"
    finally:
        os.close(fd)


def has_ipv6() -> bool:
    """Say whether this network namespace speaks IPv6."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as one:
            one.bind(("::1", 0))
    except OSError as error:
        if error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            return False
        raise
    return True


def owner(protocol: str, port: int) -> tuple[int, str] | None:
    """Return the process that waits at a port, with its name; None: not to be found.

    It looks through all descriptors of all processes: for an error only. A process may have a
    million of them, so none is kept; and its name is not asked of psutil, which reads the whole
    command line too, however long that is.
    """
    import psutil

    from minirt.kernel import socket_diag

    wanted = {
        f"socket:[{one.inode}]"  # proc_pid_fd(5)
        for one in socket_diag.bound()
        if (one.protocol, one.port) == (protocol, port)
    }
    for pid in psutil.pids() if wanted else ():
        with suppress(OSError), os.scandir(f"/proc/{pid}/fd") as descriptors:
            if any(_link(one) in wanted for one in descriptors):
                return pid, Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    return None


def _link(descriptor: os.DirEntry[str]) -> str:
    try:
        return os.readlink(descriptor.path)  # noqa: PTH115 - of each descriptor there is
    except OSError:
        return ""  # It was closed meanwhile.


def moved_above(end: socket.socket, fd: int) -> socket.socket:
    """Return the same socket under a higher number than ``fd``; ``end`` is it, or is closed.

    Raises OSError beyond RLIMIT_NOFILE; then nothing has changed.
    """
    if end.fileno() > fd:
        return end
    number = fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, fd + 1)
    end.close()
    return socket.socket(fileno=number)
