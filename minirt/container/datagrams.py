"""UDP that no rule of the packet filter leads on: what splice.py is for TCP.

UDP has no connections, so each client gets a socket of its own to the container, whose
answers are the client's; it is given up when nothing went through it for a while.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from minirt.container.loop import Loop
from minirt.container.splice import Where

MOST = 200  # clients at once; who was silent the longest goes first
IDLE = 90.0  # seconds; what Docker's proxy takes, and most NATs at least (RFC 4787: 120)
_LARGEST = 65535  # bytes of a datagram
_PKTINFO = socket.CMSG_SPACE(20)  # struct in6_pktinfo: which of our addresses was asked

Client = tuple[Any, bytes, str]  # its address, ours that it asked, and the container's


@dataclass(slots=True)
class _Talk:
    server: socket.socket
    last: float


class Relay:
    """A UDP port of the host, and the clients that have sent something to it."""

    def __init__(self, loop: Loop, fd: int, port: int, where: Where) -> None:
        self._loop, self._port, self._where = loop, port, where
        self._socket = socket.socket(fileno=fd)  # The descriptor stays its owner's to close.
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        self._talks: dict[Client, _Talk] = {}  # who spoke last is last
        self._timed = False
        loop.on_readable(fd, self._hear_client)

    def end(self) -> None:
        """Pass on what the container said last, and leave."""
        for client, talk in list(self._talks.items()):
            self._hear_server(client, talk)
            self._drop(client)
        self._loop.forget(self._socket.fileno())
        self._socket.detach()

    def _hear_client(self) -> None:
        try:
            data, controls, _, address = self._socket.recvmsg(_LARGEST, _PKTINFO)
        except OSError:
            return
        asked = next((value for _, kind, value in controls if kind == socket.IPV6_PKTINFO), b"")
        client = (address, asked, self._where())
        talk = self._talks.pop(client, None)
        try:
            talk = talk or self._begin(client)
            self._talks[client] = talk
            talk.server.send(data)
        except OSError:
            return  # Lost, as datagrams may be.
        talk.last = time.monotonic()

    def _begin(self, client: Client) -> _Talk:
        address = client[2]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        server = socket.socket(family, socket.SOCK_DGRAM)
        try:
            server.setblocking(False)
            server.connect((address, self._port))
        except OSError:
            server.close()
            raise
        if len(self._talks) >= MOST:
            self._drop(next(iter(self._talks)))
        talk = _Talk(server, time.monotonic())
        self._loop.on_readable(server.fileno(), lambda: self._hear_server(client, talk))
        if not self._timed:
            self._timed = True
            self._loop.call_after(IDLE, self._look_around)
        return talk

    def _hear_server(self, client: Client, talk: _Talk) -> None:
        """Pass on what there is; nobody at that port (ECONNREFUSED) is silence for a client."""
        address, asked, _ = client
        which = [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, asked)] if asked else []
        with suppress(OSError):
            while True:
                data = talk.server.recv(_LARGEST)
                with suppress(OSError):
                    self._socket.sendmsg([data], which, 0, address)
                talk.last = time.monotonic()

    def _look_around(self) -> None:
        old = time.monotonic() - IDLE
        for client in [one for one, talk in self._talks.items() if talk.last <= old]:
            self._drop(client)
        self._timed = bool(self._talks)
        if self._timed:
            self._loop.call_after(IDLE / 3, self._look_around)

    def _drop(self, client: Client) -> None:
        talk = self._talks.pop(client)
        self._loop.forget(talk.server.fileno())
        talk.server.close()
