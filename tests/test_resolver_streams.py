"""The TCP listener of a container, which the container may end."""

from __future__ import annotations

import socket

import pytest

from minirt.network.forward import Reply
from minirt.network.loop import Loop
from minirt.network.streams import Streams


@pytest.mark.parametrize("is_ended", [False, True])
def test_a_listener_that_was_ended_is_closed(*, is_ended: bool) -> None:
    """Otherwise epoll(7) reports it again and again, and the resolver is never idle."""
    loop = Loop()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    streams = Streams(loop, listener, lambda _query, _reply: None)
    if is_ended:
        listener.shutdown(socket.SHUT_RDWR)  # as SOCK_DESTROY of sock_diag(7) does
        loop.later(0.1, loop.stop)
        loop.run()
        assert listener.fileno() == -1
    else:
        with socket.create_connection(listener.getsockname()):
            loop.later(0.1, loop.stop)
            loop.run()
            assert len(streams.open) == 1
        assert listener.fileno() >= 0
    streams.close()


def test_a_connection_full_of_queries_does_not_keep_the_next_one_waiting() -> None:
    """All queries are there before the loop runs, and each is answered at once."""
    loop = Loop()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    heard: list[bytes] = []

    def hear(query: bytes, reply: Reply) -> None:
        heard.append(query)
        reply(query)
        if query == b"last":
            loop.stop()

    streams = Streams(loop, listener, hear)
    with (
        socket.create_connection(listener.getsockname()) as greedy,
        socket.create_connection(listener.getsockname()) as other,
    ):
        greedy.sendall((b"\0\x1e" + bytes(30)) * 250)
        other.sendall(b"\0\4last")
        loop.run()
    assert 0 < len(heard) < 100
    streams.close()
