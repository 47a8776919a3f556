"""A link goes: whoever asked is not kept until the last who may look at it has looked away.

The kernel takes the link out of sight, with its addresses, routes and ports, tells that to all
who listen (rtnetlink(7), RTM_DELLINK), and only then waits for its readers before it gives the
memory back (rcu_barrier, in netdev_run_todo() of net/core/dev.c): 10-40 ms in which nobody can
find the link any more. It keeps whom it is asked by for so long. So a child asks, and we listen.
"""

from __future__ import annotations

import os
import select
import socket
import struct

from minirt.kernel import processes, steps
from minirt.kernel.netlink import messages
from minirt.kernel.netlink.connection import connect
from minirt.kernel.netlink.records import Link
from minirt.kernel.nlmsg import HEADER
from minirt.kernel.steps import step

_LINKS = 1  # RTMGRP_LINK: news of links
_INFO = struct.Struct("=BxHi")  # how struct ifinfomsg begins: family, type, index
_BLOCK, _LONGEST = 1 << 16, 1 << 12  # bytes of news, and of what the kernel has against it


def delete(link: Link) -> None:
    """Delete a link of this network namespace; return when it is out of sight.

    Raises OSError: ENODEV where it has gone meanwhile, EOPNOTSUPP where it cannot be deleted.
    """
    with (
        step("remove the link", "ip", "link", "del", link.name),
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as news,
    ):
        news.bind((0, _LINKS))
        reader, writer = os.pipe()
        with open(reader, "rb") as answer:
            with open(writer, "wb"):
                processes.fork(lambda: _ask(link, writer))
            _wait(news, answer.fileno(), link.index)


def _wait(news: socket.socket, answer: int, index: int) -> None:
    """Return when there is news of the link's end, or the child has ended. Raises its OSError."""
    poll = select.poll()
    poll.register(answer, select.POLLIN)
    poll.register(news, select.POLLIN)
    while answer not in dict(poll.poll()):
        try:
            if _tells_its_end(news.recv(_BLOCK), index):
                return
        except OSError:  # ENOBUFS: there was more than it can hold.
            poll.unregister(news)
    if refusal := os.read(answer, _LONGEST):
        code, _, why = refusal.decode().partition(" ")
        raise OSError(int(code), why)


def _tells_its_end(block: bytes, index: int) -> bool:
    while block:
        length, kind, *_ = HEADER.unpack_from(block)
        # A bridge tells its ports' ends, too, as AF_BRIDGE.
        if kind == messages.DELLINK and _INFO.unpack_from(block, HEADER.size)[::2] == (0, index):
            return True
        block = block[length + 3 & ~3 :]
    return False


def _ask(link: Link, writer: int) -> int:
    """Delete the link, and write down what the kernel has against it."""
    steps.fall_silent()  # It is told already.
    processes.close_all_but({writer})  # Nobody is to wait for the end of what we inherited.
    try:
        with connect() as links:
            links.delete(link)
    except OSError as error:
        os.write(writer, f"{error.errno} {error.strerror}".encode())
    return 0
