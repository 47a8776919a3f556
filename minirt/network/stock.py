"""The resolver's side of lending.py: sockets inside one container, ready for questions."""

from __future__ import annotations

import errno
import os
import socket
from collections import defaultdict
from collections.abc import Callable

from minirt.network import lending

_FEW = 8  # So many are left when more are asked for, and nobody has to wait.


class NotYet(Exception):
    """There is no socket at the moment, but there will be: see :meth:`Stock.wait`."""


class Stock:
    """What the monitor has lent; ``ask`` sends it a request."""

    def __init__(self, ask: Callable[[bytes], None]) -> None:
        self._ask = ask
        self._free: defaultdict[bytes, list[int]] = defaultdict(list)
        self._asked: set[bytes] = set()
        self._refused: set[bytes] = set()
        self._waiting: defaultdict[bytes, list[Callable[[], None]]] = defaultdict(list)

    def take(self, family: int, kind: int) -> socket.socket:
        """Return a new socket. Raises NotYet, or OSError if the monitor could make none."""
        name = lending.name_of(family, kind)
        if name in self._refused:
            raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))
        free = self._free[name]
        few = _FEW if kind == socket.SOCK_DGRAM else 0
        if len(free) <= few and name not in self._asked:
            self._asked.add(name)
            self._ask(name)
        if not free:
            raise NotYet
        return socket.socket(fileno=free.pop())

    def wait(self, family: int, kind: int, call: Callable[[], None]) -> None:
        """Call when sockets have come, or a refusal."""
        self._waiting[lending.name_of(family, kind)].append(call)

    def add(self, name: bytes, fds: list[int]) -> None:
        """Take what was lent; none: for once, all who wait go without."""
        self._asked.discard(name)
        self._free[name] += fds
        waiting = self._waiting.pop(name, [])
        if not fds:
            self._refused.add(name)
        for call in waiting:
            call()
        self._refused.discard(name)

    def close(self) -> None:
        """Let go of the container."""
        for fds in self._free.values():
            for fd in fds:
                os.close(fd)
        self._free.clear()
        self._waiting.clear()
