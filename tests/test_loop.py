"""The resolver's loop: descriptors, timers, and callbacks that fail."""

from __future__ import annotations

import errno
import os
import select
import socket

import pytest

from minirt.network.loop import Loop


def test_timers_ring_in_their_order_unless_cancelled() -> None:
    loop, rung = Loop(), []
    loop.later(0.02, loop.stop)
    loop.later(0.01, lambda: rung.append("second"))
    loop.later(0.0, lambda: rung.append("first"))
    loop.later(0.005, lambda: rung.append("never")).cancel()
    loop.run()
    assert rung == ["first", "second"]


def test_cancelled_timers_take_no_room() -> None:
    loop = Loop()
    for _ in range(20_000):
        loop.later(100, loop.stop).cancel()
    assert len(loop._timers) <= 1024
    kept = [loop.later(100, loop.stop) for _ in range(3000)]
    assert len(loop._timers) >= len(kept)


def test_a_callback_that_fails_is_told_and_the_others_go_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    loop = Loop()
    for number in range(100):
        loop.later(0.0, lambda number=number: 1 // (number - 200) // 0)  # type: ignore[misc]
    loop.later(0.01, loop.stop)
    loop.run()
    assert capsys.readouterr().err.count("ZeroDivisionError") == 20


def test_what_is_forgotten_is_silent_even_if_another_holds_the_socket() -> None:
    loop, heard = Loop(), []
    ours, theirs = socket.socketpair()
    copy = os.dup(ours.fileno())
    loop.watch(ours.fileno(), lambda: heard.append(ours.recv(10)))
    theirs.send(b"one")
    loop.later(0.01, loop.stop)
    loop.run()
    loop.forget(ours.fileno())
    ours.close()
    theirs.send(b"two")
    loop._going = True
    loop.later(0.01, loop.stop)
    loop.run()
    assert heard == [b"one"]
    os.close(copy)
    theirs.close()


class FullEpoll:
    """An epoll instance of a user who has no watches left: only the first ones are taken."""

    def __init__(self, room: int) -> None:
        self._real, self._room = select.epoll(), room
        self.unregister, self.modify = self._real.unregister, self._real.modify
        self.poll, self.close = self._real.poll, self._real.close

    def register(self, fd: int, events: int) -> None:
        if not self._room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._room -= 1
        self._real.register(fd, events)


@pytest.mark.parametrize("room", [0, 1, 2])
def test_loop_watches_everything_when_no_epoll_watch_is_left(
    room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = FullEpoll(room)
    monkeypatch.setattr(select, "epoll", lambda: full)
    loop = Loop()
    heard: list[tuple[str, bytes]] = []
    pairs = {name: socket.socketpair() for name in ("first", "second", "third")}
    for name, (ours, _) in pairs.items():
        loop.watch(ours.fileno(), lambda n=name, o=ours: heard.append((n, o.recv(10))))  # type: ignore[misc]
    for name, (_, theirs) in pairs.items():
        theirs.send(name.encode())
    loop.later(0.01, loop.stop)
    loop.run()
    assert sorted(heard) == [(name, name.encode()) for name in pairs]
    first, second = pairs["first"], pairs["second"]
    loop.forget(first[0].fileno())
    first[1].send(b"again")
    loop.watch(second[0].fileno(), loop.stop, select.EPOLLOUT)
    loop._going = True
    loop.run()
    assert len(heard) == 3
    for one in (end for pair in pairs.values() for end in pair):
        one.close()


def test_the_stand_in_for_a_full_epoll_refuses_what_is_too_much() -> None:
    """The control."""
    with socket.socket() as one, socket.socket() as two:
        full = FullEpoll(1)
        full.register(one.fileno(), select.EPOLLIN)
        with pytest.raises(OSError, match="No space left"):
            full.register(two.fileno(), select.EPOLLIN)
        full.close()


def test_other_errors_of_epoll_are_raised() -> None:
    loop = Loop()
    with pytest.raises(OSError, match="Bad file descriptor"):
        loop.watch(1 << 20, loop.stop)
