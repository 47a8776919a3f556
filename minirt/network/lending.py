"""Sockets inside a container, made by its monitor for the resolver, which can't go there.

A resolver that shall ask a server from inside a container (--dns) says over its connection
which kind of socket it needs; the answer is the same word, with some of that kind by
SCM_RIGHTS. Each is used for one question, and then closed: a source port of its own
(RFC 5452).
"""

from __future__ import annotations

import array
import fcntl
import os
import socket
from contextlib import suppress

from minirt.kernel.namespaces import Netns, inside

_INET, _INET6 = socket.AF_INET, socket.AF_INET6
# By its name: family, type, and how many are lent at once.
KINDS = {
    b"udp4": (_INET, socket.SOCK_DGRAM, 32),
    b"udp6": (_INET6, socket.SOCK_DGRAM, 32),
    b"tcp4": (_INET, socket.SOCK_STREAM, 8),
    b"tcp6": (_INET6, socket.SOCK_STREAM, 8),
}
MOST = max(number for _, _, number in KINDS.values())
LONGEST = 16  # bytes of a request; none is as long
_SIOCGSKNS = 0x894C  # include/uapi/linux/sockios.h: the network namespace of a socket


def name_of(family: int, kind: int) -> bytes:
    """Return the word for sockets of a family and a type."""
    return next(name for name, one in KINDS.items() if one[:2] == (family, kind))


def lend(link: socket.socket, request: bytes, neighbour: int) -> None:
    """Answer a resolver's request: with no sockets if the kernel won't make any. Never waits.

    ``neighbour`` is a socket in the namespace where they shall be. Another request than those
    in ``KINDS`` is ignored: the resolver is not to be trusted.
    """
    if request not in KINDS:
        return
    made = _made(request, neighbour)
    fds = array.array("i", [one.fileno() for one in made])
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)] if made else []
    try:
        with suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
            link.sendmsg([request], rights, socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT)
    finally:
        for one in made:
            one.close()


def _made(name: bytes, neighbour: int) -> list[socket.socket]:
    family, kind, number = KINDS[name]
    made: list[socket.socket] = []
    with suppress(OSError):
        namespace = fcntl.ioctl(neighbour, _SIOCGSKNS)
        try:
            with inside(Netns("", namespace)):
                for _ in range(number):
                    made.append(socket.socket(family, kind | socket.SOCK_NONBLOCK))
        finally:
            os.close(namespace)
    return made
