"""The servers that know what we don't: this machine's, or those that a container named."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from socket import SocketKind
from typing import NamedTuple

from minirt.network import resolv_conf
from minirt.network.stock import Stock

_HOST_FILE = Path("/etc/resolv.conf")
_PORT = 53


class Server(NamedTuple):
    """Whom to ask, and from where: without ``stock`` from the namespace that we live in."""

    address: str
    stock: Stock | None = None

    def socket(self, kind: socket.SocketKind) -> socket.socket:
        """Return a new socket on its way to the server: the kernel picks a random port.

        A connected datagram socket takes packets from that server only, and hears of ICMP
        errors (udp(7)). Raises OSError, or NotYet (see :meth:`wait`).
        """
        family, target = _target(self.address)
        if self.stock is None:
            made = socket.socket(family, kind | socket.SOCK_NONBLOCK)
        else:
            made = self.stock.take(family, kind)
        try:
            made.connect(target)
        except BlockingIOError:
            pass  # TCP: writable once it has been established
        except BaseException:
            made.close()
            raise
        return made

    def wait(self, kind: SocketKind, call: Callable[[], None]) -> None:
        """Call when :meth:`socket` is worth another try."""
        assert self.stock is not None
        self.stock.wait(_target(self.address)[0], kind, call)


class Host:
    """The servers of this machine's resolv.conf(5), read again whenever it has changed."""

    def __init__(self, path: Path = _HOST_FILE) -> None:
        self._path = path
        self._stamp: tuple[int, ...] | None = None
        self._servers: list[Server] = []

    def servers(self) -> list[Server]:
        """Return them in the order of the file; the local machine if it names none."""
        stamp = self._look()
        if stamp != self._stamp:
            self._stamp = stamp
            found = resolv_conf.read(_text(self._path)).servers
            self._servers = [Server(address) for address in found or ["127.0.0.1"]]
        return self._servers

    def _look(self) -> tuple[int, ...]:
        try:
            found = os.stat(self._path)  # noqa: PTH116 (for each question; Path takes twice as long)
        except OSError:
            return ()
        return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)


def _target(address: str) -> tuple[socket.AddressFamily, tuple[str | int, ...]]:
    host, _, interface = address.partition("%")
    if _version(host) == 4:
        return socket.AF_INET, (host, _PORT)
    scope = 0
    if interface:
        scope = int(interface) if interface.isdigit() else socket.if_nametoindex(interface)
    return socket.AF_INET6, (host, _PORT, 0, scope)


@lru_cache(maxsize=256)  # Each question needs it, and few addresses are ever asked.
def _version(host: str) -> int:
    return ip_address(host).version


def _text(path: Path) -> str:
    try:
        return os.fsdecode(path.read_bytes())
    except OSError:
        return ""
