"""Descriptors that come by a socket end with who has taken them: no program inherits them."""

from __future__ import annotations

import array
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from minirt.container import protocol
from minirt.runtime.handshake import Line
from minirt.server import child
from minirt.server.client import VERSION

MOST = 4  # what a client of the fork server sends: its streams, and its folder
BODY = b"\0".join([VERSION, b"18 0", b"", b"0"])
Receiver = Callable[[socket.socket], list[int]]

CAREFUL: dict[str, Receiver] = {
    "the line to an init": lambda end: Line(end).receive()[1],
    "the socket of a monitor": lambda end: protocol.hear(end)[2],
    "the fork server": lambda end: child.receive(end).fds,
}


def is_handed_on(receive: Receiver) -> bool:
    """Take descriptors of a pipe, start a program, and say whether that has the pipe."""
    ours, theirs = socket.socketpair()
    pipe = os.pipe()
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [pipe[0]] * MOST))]
    theirs.sendmsg([len(BODY).to_bytes(8, "big") + BODY], rights)
    taken = receive(ours)
    name = str(Path(f"/proc/self/fd/{pipe[0]}").readlink())
    shown = subprocess.run(
        ["ls", "-l", "/proc/self/fd"], close_fds=False, capture_output=True, text=True, check=True
    )
    assert len(taken) == MOST
    for fd in (*taken, *pipe):
        os.close(fd)
    ours.close()
    theirs.close()
    return name in shown.stdout


@pytest.mark.parametrize("who", CAREFUL)
def test_no_program_inherits_what_has_come(who: str) -> None:
    assert not is_handed_on(CAREFUL[who])


def test_with_the_standard_library_a_program_inherits_it() -> None:
    """The control for the test above: socket.recv_fds does not ask for MSG_CMSG_CLOEXEC."""
    assert is_handed_on(lambda end: socket.recv_fds(end, 1 << 10, MOST)[1])
