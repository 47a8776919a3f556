"""Connections that the monitor copies, over loopback addresses of IPv4."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minirt.container.loop import Loop
from minirt.container.splice import Splices


class Bench:
    """A loop with a spliced port, and the server to which it leads."""

    def __init__(self, most: int) -> None:
        self.loop = Loop()
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.target = "127.0.0.1"
        number = self.server.getsockname()[1]
        self.splices = Splices(self.loop, lambda: self.target, most)
        self.splices.add(self.port.fileno(), number)

    def turn_until(self, condition: Callable[[], bool]) -> None:
        """Turn the loop until something is true."""
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline, "it never came true"
            self.loop.turn(0.01)

    def client(self) -> socket.socket:
        """Connect to the spliced port."""
        one = socket.create_connection(self.port.getsockname())
        one.setblocking(False)
        return one

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """Return a client and the server's end of its connection."""
        client = self.client()
        self.server.setblocking(False)
        found: list[socket.socket] = []

        def accepted() -> bool:
            try:
                found.append(self.server.accept()[0])
            except BlockingIOError:
                return False
            return True

        self.turn_until(accepted)
        found[0].setblocking(False)
        return client, found[0]

    def read(self, one: socket.socket, size: int = -1) -> bytes:
        """Return what arrives: so many bytes, or all until the end."""
        got = bytearray()
        ended: list[bool] = []

        def done() -> bool:
            try:
                piece = one.recv(1 << 16)
            except BlockingIOError:
                return False
            got.extend(piece)
            ended.extend([True] * (not piece))
            return bool(ended) or 0 <= size <= len(got)

        self.turn_until(done)
        return bytes(got)


@contextmanager
def bench(most: int = 10) -> Iterator[Bench]:
    one = Bench(most)
    with one.server, one.port:
        yield one
        one.splices.end()


def test_both_ends_hear_each_other_and_each_may_stop_before_the_other() -> None:
    with bench() as one:
        client, server = one.pair()
        with client, server:
            client.sendall(b"question")
            assert one.read(server, 8) == b"question"
            client.shutdown(socket.SHUT_WR)
            assert one.read(server) == b""
            server.sendall(b"answer")
            server.close()
            assert one.read(client) == b"answer"


@settings(max_examples=25, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=1 << 16), max_size=8))
def test_whatever_is_said_arrives_whole_and_in_order(pieces: list[bytes]) -> None:
    with bench() as one:
        client, server = one.pair()
        with client, server:
            client.setblocking(True)
            for piece in pieces:
                client.sendall(piece)
                assert one.read(server, len(piece)) == piece
            client.close()
            assert one.read(server) == b""


def test_a_reader_who_does_not_read_stops_the_writer_and_loses_nothing() -> None:
    with bench() as one:
        for listener in (one.server, one.port):  # Small buffers are full sooner.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        client, server = one.pair()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        with client, server:
            sent, still = 0, 0
            while still < 20:  # until it has taken nothing for a while
                try:
                    sent += client.send(bytes(1 << 16))
                    still = 0
                    assert sent < 32 << 20, "the writer has not been stopped"
                except BlockingIOError:
                    still += 1
                one.loop.turn(0.005)
            client.shutdown(socket.SHUT_WR)
            assert len(one.read(server)) == sent


def test_nobody_at_the_port_is_a_refusal() -> None:
    with bench() as one:
        one.server.close()
        with one.client() as client, pytest.raises(ConnectionResetError):
            one.read(client)


def test_no_address_is_a_refusal() -> None:
    with bench() as one:
        one.target = ""
        with one.client() as client, pytest.raises(ConnectionResetError):
            one.read(client)


def test_what_the_server_said_last_arrives_although_the_monitor_ends() -> None:
    with bench() as one:
        client, server = one.pair()
        with client, server:
            one.loop.turn(0.01)
            server.sendall(b"last words")
            server.close()
            time.sleep(0.01)
            one.splices.end()
            client.setblocking(True)
            assert client.recv(100) == b"last words"
            assert client.recv(100) == b""
            assert one.port.fileno() >= 0  # still held: its owner lets go of it


def test_more_connections_than_allowed_wait_their_turn() -> None:
    with bench(most=2) as one:
        first, second = one.pair(), one.pair()
        with one.client() as third:
            for _ in range(5):
                one.loop.turn(0.01)
            with pytest.raises(BlockingIOError):
                one.server.accept()
            for each in first:
                each.close()
            waiting: list[socket.socket] = []

            def accepted() -> bool:
                try:
                    waiting.append(one.server.accept()[0])
                except BlockingIOError:
                    return False
                return True

            one.turn_until(accepted)
            waiting[0].sendall(b"now")
            assert one.read(third, 3) == b"now"
            for each in (*second, waiting[0]):
                each.close()


def test_a_client_that_breaks_off_frees_both_sides() -> None:
    with bench() as one:
        client, server = one.pair()
        with server:
            one.loop.turn(0.01)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
            assert one.read(server) == b""
