"""The monitor's switchboard: the command's streams, the log, and those who are attached.

A reader who is slow fills its queue; when that is full the command's output is not read any
more, so the command waits, as it would for a slow terminal. Likewise for the command's input: while
its queue is full, the clients that feed it are not read, so they wait.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from minirt.container import protocol
from minirt.container.log_writer import LogWriter
from minirt.container.loop import Loop, Outbox
from minirt.kernel import descriptors, terminals

FULL = 64  # packets of at most protocol.CHUNK bytes that wait for one slow reader, or the command
LEAVING = 1  # second that the monitor stays for those who have heard the exit code
PATIENCE = 10  # seconds that the end waits for a reader who does not read

Answer = Callable[[dict[str, Any], list[int]], tuple[dict[str, Any], tuple[int, ...]]]


@dataclass(eq=False, slots=True)
class Client:
    """Somebody connected to the monitor."""

    line: socket.socket
    outbox: Outbox
    attached: bool = False  # it waits for the exit code
    listens: bool = False  # it gets the command's output
    restarts: bool = False  # it stops the container in order to start it again
    feeds: bool = False  # its packets go to the command's standard input


class Hub:
    """Moves bytes between the command, its log and its clients."""

    def __init__(self, loop: Loop, log: LogWriter | None, answer: Answer) -> None:
        self._loop, self._log, self._answer = loop, log, answer
        self._clients: list[Client] = []
        self._sources: dict[int, bytes] = {}  # descriptor -> kind of its packets
        self._paused = False
        self._input: Outbox | None = None
        self._terminal: int | None = None
        self.closes_input_with_client = False  # as "run -i" wants it

    def add_source(self, fd: int, kind: bytes) -> None:
        """Read the command's output from ``fd``; its packets are of ``kind``."""
        os.set_blocking(fd, False)
        self._sources[fd] = kind
        self._loop.on_readable(fd, lambda: self._read(fd))

    def set_input(self, fd: int) -> None:
        """Feed the command's standard input through ``fd``."""
        os.set_blocking(fd, False)

        def end() -> None:
            self._input = None
            self._loop.forget(fd)
            os.close(fd)
            self._hear_feeders()

        def write(data: bytes) -> int:
            return os.write(fd, data)

        self._input = Outbox(self._loop, fd, write, end, self._hear_feeders)

    def set_terminal(self, master: int) -> None:
        """Read, feed and resize the command through the master of its pseudoterminal."""
        self._terminal = master
        self.set_input(os.dup(master))
        self.add_source(master, protocol.STDOUT)

    def add_client(self, line: socket.socket) -> Client:
        """Serve somebody who connected."""
        line.setblocking(False)
        outbox = Outbox(self._loop, line.fileno(), line.send, lambda: None, self._resume)
        client = Client(line, outbox)
        self._clients.append(client)
        self._listen_to(client)
        return client

    def _listen_to(self, client: Client) -> None:
        self._loop.on_readable(client.line.fileno(), lambda: self._hear(client))

    def attach_late_clients(self) -> None:
        """Attach clients whose request has come since init died; other requests are too late."""
        for client in [one for one in self._clients if not one.attached]:
            with suppress(BlockingIOError):
                kind, rest, fds = protocol.hear(client.line)
                if kind == protocol.JSON and json.loads(rest)["do"] == "attach":
                    self._serve(client, json.loads(rest), fds)
                    continue
                descriptors.close(fds)
                self._lose(client)

    def is_restarting(self) -> bool:
        """Say whether a client that stops the container is going to start it again."""
        return any(client.restarts for client in self._clients)

    def drain(self) -> None:
        """Pass on what the command has left in its pipes when it ended."""
        for fd in list(self._sources):
            while fd in self._sources and self._read(fd):
                while self._is_full() and self._loop.turn(PATIENCE):
                    pass
            if fd in self._sources:
                self._drop(fd)

    def descriptors(self) -> list[int]:
        """Return the connections to all who are here."""
        return [client.line.fileno() for client in self._clients]

    def finish(self, code: int) -> None:
        """Tell the exit code to all who are attached, and wait a moment until they have left."""
        if self._log:
            self._log.close()
        self._input = None  # Nobody reads it any more: what clients still send is dropped.
        self._hear_feeders()
        for client in self._clients:
            if client.attached:
                client.outbox.put(protocol.EXIT + str(code).encode())
        while any(len(client.outbox) for client in self._clients) and self._loop.turn(PATIENCE):
            pass
        for client in [one for one in self._clients if not one.attached]:
            self._lose(client)  # Who shares its network waits for just that.
        while self._clients and self._loop.turn(LEAVING):
            pass
        for client in self._clients:
            client.line.close()

    def _hear(self, client: Client) -> None:
        try:
            kind, rest, fds = protocol.hear(client.line)
        except BlockingIOError:
            return
        try:
            self._take(client, kind, rest, fds)
        except (ValueError, KeyError, TypeError, RecursionError, struct.error):
            self._lose(client)  # It is no minirt, or one of another version.

    def _take(self, client: Client, kind: bytes, rest: bytes, fds: list[int]) -> None:
        """Do what a packet asks for. Raises ValueError and the like if it makes no sense."""
        if kind == b"":
            self._lose(client)
        elif kind == protocol.JSON:
            self._serve(client, json.loads(rest), fds)
        elif kind == protocol.SIZE and self._terminal is not None:
            terminals.set_size(self._terminal, *protocol.unpack_size(rest))
        elif client.feeds and kind in (protocol.STDIN, protocol.END):
            self._feed(rest if kind == protocol.STDIN else b"")

    def _serve(self, client: Client, request: dict[str, Any], fds: list[int]) -> None:
        answer: dict[str, Any] = {"ok": True}
        back: tuple[int, ...] = ()
        if request["do"] == "attach":
            client.attached = True
            client.restarts = bool(request.get("restarts"))
            client.listens, client.feeds = bool(request["output"]), bool(request["stdin"])
        elif request["do"] == "discard":
            for fd in fds:
                self._discard(fd)
        else:
            answer, back = self._answer(request, fds)
        try:
            protocol.tell(client.line, answer, back)
        except OSError:
            self._lose(client)

    def _discard(self, fd: int) -> None:
        """Read a pipe to its end, and drop what comes: the output of processes that exec has left.

        Without a reader, their next write(2) would end them by SIGPIPE.
        """

        def read() -> None:
            if not os.read(fd, protocol.CHUNK):
                self._loop.forget(fd)
                os.close(fd)

        self._loop.on_readable(fd, read)

    def _lose(self, client: Client) -> None:
        self._loop.forget(client.line.fileno())
        client.line.close()
        self._clients.remove(client)
        if client.feeds and self.closes_input_with_client:
            self._feed(b"")
        self._resume()

    def _feed(self, data: bytes) -> None:
        """Queue bytes for the command's input; while the queue is full, hear no client that feeds.

        What such a client says of its terminal's size, or that it has left, waits as well.
        """
        if self._input is not None:
            self._input.put(data)
        if self._is_input_full():
            for client in self._clients:
                if client.feeds:
                    self._loop.on_readable(client.line.fileno(), None)

    def _hear_feeders(self) -> None:
        """Hear the clients that feed the command again, if there is room for what they send."""
        if not self._is_input_full():
            for client in self._clients:
                if client.feeds:
                    self._listen_to(client)

    def _is_input_full(self) -> bool:
        return self._input is not None and len(self._input) >= FULL

    def _read(self, fd: int) -> bool:
        """Pass on what can be read; say whether there may be more."""
        try:
            data = os.read(fd, protocol.CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""  # EIO: the last process has closed its side of the terminal.
        if not data:
            self._drop(fd)
            return False
        kind = self._sources[fd]
        if self._log:
            self._log.write("stdout" if kind == protocol.STDOUT else "stderr", data)
        for client in self._clients:
            if client.listens:
                client.outbox.put(kind + data)
        if self._is_full() and not self._paused:
            self._paused = True
            for source in self._sources:
                self._loop.on_readable(source, None)
        return True

    def _is_full(self) -> bool:
        return any(len(client.outbox) >= FULL for client in self._clients)

    def _resume(self) -> None:
        if self._paused and not self._is_full():
            self._paused = False
            for fd, kind in list(self._sources.items()):
                self.add_source(fd, kind)

    def _drop(self, fd: int) -> None:
        self._loop.forget(fd)
        del self._sources[fd]
        if fd == self._terminal:  # Who is attached may still tell its size.
            self._terminal = None
        os.close(fd)
