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

MOST = 200  # clients of a container at once; who was silent the longest goes first
IDLE = 90.0  # seconds; what Docker's proxy takes, and most NATs at least (RFC 4787: 120)
_LARGEST = 65535  # bytes of a datagram
_AT_ONCE = 64  # datagrams of one answer, before others are heard
_PKTINFO = socket.CMSG_SPACE(20)  # struct in6_pktinfo: which of our addresses was asked


@dataclass(frozen=True, slots=True)
class Client:
    """Who speaks with whom."""

    port: socket.socket  # of the host
    address: Any  # the client's
    asked: bytes  # which of the host's addresses (struct in6_pktinfo)
    server: str  # the container's address


@dataclass(slots=True)
class _Talk:
    server: socket.socket
    last: float


class Relays:
    """UDP ports of the host, and the clients that have sent something to them."""

    def __init__(self, loop: Loop, where: Where) -> None:
        self._loop, self._where = loop, where
        self._ports: list[socket.socket] = []
        self._talks: dict[Client, _Talk] = {}  # who spoke last is last
        self._timed = False

    def add(self, fd: int, port: int) -> None:
        """Hand on what comes to a socket; it stays its owner's to close."""
        one = socket.socket(fileno=fd)
        one.setblocking(False)
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        self._ports.append(one)
        self._loop.on_readable(fd, lambda: self._hear_client(one, port))

    def end(self) -> None:
        """Pass on what the container said last, and leave."""
        for client, talk in list(self._talks.items()):
            self._hear_server(client, talk)
            self._drop(client)
        for one in self._ports:
            self._loop.forget(one.fileno())
            one.detach()

    def _hear_client(self, one: socket.socket, port: int) -> None:
        try:
            data, controls, _, address = one.recvmsg(_LARGEST, _PKTINFO)
        except OSError:
            return
        asked = next((value for _, kind, value in controls if kind == socket.IPV6_PKTINFO), b"")
        client = Client(one, address, asked, self._where())
        talk = self._talks.pop(client, None)
        try:
            talk = self._talks[client] = talk or self._begin(client, port)
            talk.last = time.monotonic()
            talk.server.send(data)
        except OSError:
            return  # Lost, as datagrams may be.

    def _begin(self, client: Client, port: int) -> _Talk:
        if len(self._talks) >= MOST:
            self._drop(next(iter(self._talks)))
        family = socket.AF_INET6 if ":" in client.server else socket.AF_INET
        server = socket.socket(family, socket.SOCK_DGRAM)
        try:
            server.setblocking(False)
            server.connect((client.server, port))
        except OSError:
            server.close()
            raise
        talk = _Talk(server, time.monotonic())
        self._loop.on_readable(server.fileno(), lambda: self._hear_server(client, talk))
        if not self._timed:
            self._timed = True
            self._loop.call_after(IDLE, self._look_around)
        return talk

    def _hear_server(self, client: Client, talk: _Talk) -> None:
        """Pass on what there is; nobody at that port (ECONNREFUSED) is silence for a client."""
        which = [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, client.asked)] if client.asked else []
        with suppress(OSError):
            for _ in range(_AT_ONCE):
                data = talk.server.recv(_LARGEST)
                with suppress(OSError):
                    client.port.sendmsg([data], which, 0, client.address)
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
