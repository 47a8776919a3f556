"""Containers take turns at their resolver, however many questions one of them has."""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import time
from pathlib import Path

import pytest

from integration.naming import QUERY, box, client_in, lone_web, resolver_pid
from integration.sandbox import needs_tool, wait_until
from minirt.network import resolver_start

pytestmark = needs_tool("nft")
SO_TIMESTAMPNS, SO_RCVBUFFORCE = 35, 33  # include/uapi/asm-generic/socket.h
QUEUED, TURN = 1000, 64
WITHOUT_TURNS = resolver_start._PROGRAM.replace(
    "from minirt", "from minirt.network import client; client._BATCH = 1 << 60; from minirt"
)


@pytest.mark.parametrize("defended", [True, False], ids=["defended", "control"])
def test_a_queue_of_questions_does_not_come_before_the_next_containers_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, defended: bool
) -> None:
    """They have all arrived before it: whoever empties one socket first answers it last."""
    if not defended:
        monkeypatch.setattr(resolver_start, "_PROGRAM", WITHOUT_TURNS)
    with lone_web(tmp_path) as web, box("net1") as other:
        pid = resolver_pid("net1")
        with stamping_client(other.pid) as hostile, stamping_client(web.pid) as bystander:
            os.kill(pid, signal.SIGSTOP)
            for _ in range(QUEUED):
                hostile.send(QUERY)
            bystander.send(QUERY)
            os.kill(pid, signal.SIGCONT)
            answered = arrival(bystander)
            earlier = sum(arrival(hostile) < answered for _ in range(QUEUED))
    assert earlier <= 2 * TURN if defended else earlier == QUEUED


def stamping_client(pid: int) -> socket.socket:
    """Return a client of the resolver whose answers bear the time of their arrival, socket(7)."""
    client = client_in(pid)
    client.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    client.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)

    def stamps() -> bool:
        client.send(QUERY)
        select.select([client], [], [])
        time.sleep(0.02)  # Where the kernel does not stamp yet, it takes the time of the reading.
        return time.time_ns() - arrival(client) > 10_000_000

    wait_until(stamps, "time stamps")
    return client


def arrival(client: socket.socket) -> int:
    """Receive an answer; return when it came, in nanoseconds."""
    _answer, ((_level, _kind, stamp),), _flags, _sender = client.recvmsg(512, 64)
    seconds, nanoseconds = struct.unpack("qq", stamp)
    return int(seconds * 1_000_000_000 + nanoseconds)
