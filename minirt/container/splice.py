"""TCP connections that no rule of the packet filter leads on: accepted here, and copied.

A packet to ::1 never leaves the loopback device (RFC 4291, section 2.5.3), and over IPv6 no
rule reaches a container that has none. So what arrives at an IPv6 port itself, since it was
not rewritten on its way, is handed on from here; the container sees the bridge's address.
Everything else goes through the kernel, and never comes by.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from minirt.container.loop import Loop

MOST = 500  # connections of a container at once; others wait in the kernel's queue
_CHUNK = 128 << 10  # bytes that are read at once, and the most that waits for a slow reader
_PAUSE = 0.1  # seconds until accept(2) is tried again when there are no descriptors left
_RESET = struct.pack("ii", 1, 0)  # struct linger: close(2) sends RST rather than FIN

Where = Callable[[], str]  # the container's address; empty: it has none now


class Splices:
    """Ports of the host, and the connections that came to them."""

    def __init__(self, loop: Loop, where: Where, most: int = MOST) -> None:
        self._loop, self._where, self._most = loop, where, most
        self._listeners: dict[socket.socket, int] = {}  # to which port of the container
        self._connections: set[Connection] = set()

    def add(self, fd: int, port: int) -> None:
        """Accept what comes to a listening socket; it stays its owner's to close."""
        listener = socket.socket(fileno=fd)
        listener.setblocking(False)
        self._listeners[listener] = port
        self._listen()

    def end(self) -> None:
        """Pass on what the container said last, and leave."""
        for listener in self._listeners:
            self._loop.forget(listener.fileno())
            listener.detach()
        self._listeners.clear()
        for one in list(self._connections):
            one.finish()

    def _listen(self) -> None:
        """Accept as long as there are not too many."""
        for listener, port in self._listeners.items():
            accept = partial(self._accept, listener, port)
            full = len(self._connections) >= self._most
            self._loop.on_readable(listener.fileno(), None if full else accept)

    def _accept(self, listener: socket.socket, port: int) -> None:
        try:
            client, _ = listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS):
                self._loop.on_readable(listener.fileno(), None)
                self._loop.call_after(_PAUSE, self._listen)
            return  # Else it has gone already.
        try:
            server = _socket_to(self._where(), port)
        except OSError:
            _refuse(client)
            return
        self._connections.add(Connection(self._loop, client, server, self._forget))
        if len(self._connections) >= self._most:
            self._listen()

    def _forget(self, connection: Connection) -> None:
        was_full = len(self._connections) >= self._most
        self._connections.discard(connection)
        if was_full:
            self._listen()


class Connection:
    """A client's connection and ours to the container, each copied into the other."""

    def __init__(
        self,
        loop: Loop,
        client: socket.socket,
        server: socket.socket,
        on_end: Callable[[Connection], None],
    ) -> None:
        self._loop, self._client, self._server, self._on_end = loop, client, server, on_end
        self._ways: list[_Way] = []
        for one in (client, server):
            one.setblocking(False)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        loop.on_writable(server.fileno(), self._on_connected)

    def finish(self) -> None:
        """Pass on what has arrived, as far as it is taken at once, and close both."""
        for way in self._ways:
            way.flush()
        self.close()

    def close(self) -> None:
        """Close both."""
        for one in (self._client, self._server):
            self._loop.forget(one.fileno())
            one.close()
        self._on_end(self)

    def _on_connected(self) -> None:
        self._loop.on_writable(self._server.fileno(), None)
        if self._server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.close()
            return
        pairs = ((self._client, self._server), (self._server, self._client))
        self._ways = [_Way(self._loop, *pair, self._on_way_end) for pair in pairs]

    def _on_way_end(self, failed: bool) -> None:
        if failed or all(way.ended for way in self._ways):
            self.close()


class _Way:
    """One direction. It reads only when nothing waits to be written."""

    def __init__(
        self,
        loop: Loop,
        source: socket.socket,
        sink: socket.socket,
        on_end: Callable[[bool], None],
    ) -> None:
        self._loop, self._source, self._sink, self._on_end = loop, source, sink, on_end
        self._waiting = b""
        self.ended = False
        loop.on_readable(source.fileno(), self._read)

    def flush(self) -> None:
        """Pass on all that can be had and given without waiting."""
        with suppress(OSError):
            while not self.ended:
                self._waiting = self._waiting or self._source.recv(_CHUNK)
                self.ended = not self._waiting
                while self._waiting:
                    self._waiting = self._waiting[self._sink.send(self._waiting) :]

    def _read(self) -> None:
        try:
            data = self._source.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            self._on_end(True)
            return
        if data:
            self._waiting = data
            self._write()
            return
        self.ended = True
        self._loop.on_readable(self._source.fileno(), None)
        with suppress(OSError):
            self._sink.shutdown(socket.SHUT_WR)
        self._on_end(False)

    def _write(self) -> None:
        try:
            self._waiting = self._waiting[self._sink.send(self._waiting) :]
        except BlockingIOError:
            pass
        except OSError:
            self._on_end(True)
            return
        waits = bool(self._waiting)
        self._loop.on_readable(self._source.fileno(), None if waits else self._read)
        self._loop.on_writable(self._sink.fileno(), self._write if waits else None)


def _socket_to(address: str, port: int) -> socket.socket:
    """Return a socket that is being connected. Raises OSError."""
    if not address:
        raise OSError(errno.ECONNREFUSED, "nowhere to go")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    server = socket.socket(family, socket.SOCK_STREAM)
    server.setblocking(False)
    code = server.connect_ex((address, port))
    if code not in (0, errno.EINPROGRESS):
        server.close()
        raise OSError(code, "cannot connect")
    return server


def _refuse(client: socket.socket) -> None:
    with client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
