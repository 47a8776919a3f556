"""The resolver's loop: descriptors, timers, and callbacks that fail."""

from __future__ import annotations

import os
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
