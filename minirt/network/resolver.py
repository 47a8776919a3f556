"""The resolver of one network: the process that answers at 127.0.0.11 in its containers.

    resolver_link   how a container's monitor finds it, or starts it (the whole argument)
    client          one container: its sockets, its questions
    answers         from the zones (zone, zone_watch), kept in wire form (wire, question)
    forward         everything else, asked elsewhere (attempt, lines, upstream, server_health)

It holds nothing that is not in files or in its clients' hands, so it may be killed at any
moment; and it leaves by itself when it has had no client for a while. Told to end (SIGTERM, as
after an upgrade) it lets its successor start at once, and answers what it has in hand.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

from minirt.kernel import locks, sockets
from minirt.network import lease_folder, resolver_start, resolver_user
from minirt.network.client import Client, House
from minirt.network.forward import LAST_CALL, Traffic
from minirt.network.lines import Lines
from minirt.network.loop import Loop
from minirt.network.resolver_start import LISTENER, LOCK
from minirt.network.server_health import ServerHealth
from minirt.network.upstream import Host
from minirt.network.zone_watch import Watch

_LINGER = 3.0  # seconds without a client; containers often come one after the other
_LOCKED = 0.1  # seconds; somebody is connecting right now
_RETIREMENT = LAST_CALL + 0.5  # seconds; every question has had an answer by then


class Resolver:
    """Accepts clients, and decides when to leave."""

    def __init__(self, listener: socket.socket, lock: int) -> None:
        self._listener, self._lock = listener, lock
        self._loop = Loop()
        lines = Lines(self._loop)
        traffic = Traffic(self._loop, ServerHealth(self._loop, lines), lines)
        self._house = House(self._loop, Watch(Path()), traffic, Host())
        self._loop.watch(listener.fileno(), self._accept)
        self._waiting = self._loop.later(_LINGER, self._leave)
        self._told, teller = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._loop.watch(self._told, self._retire)
        signal.set_wakeup_fd(teller)
        signal.signal(signal.SIGTERM, lambda *_: None)

    def run(self) -> None:
        """Serve until nobody is left to be served."""
        self._loop.run()

    def _accept(self) -> None:
        try:
            link, _ = self._listener.accept()
        except OSError:
            return
        if sockets.peer_of(link)[1] != 0:  # We are root no more, but those we serve are.
            link.close()
            return
        link.setblocking(False)
        self._waiting.cancel()
        Client(self._house, link, self._see_client_off)

    def _see_client_off(self) -> None:
        if not self._house.clients:
            self._waiting.cancel()
            linger = 0.0 if self._house.dismissed else _LINGER
            self._waiting = self._loop.later(linger, self._leave)

    def _leave(self) -> None:
        """Leave, unless somebody has connected: under the lock under which all connect."""
        try:
            locks.lock(self._lock)
        except BlockingIOError:
            self._waiting = self._loop.later(_LOCKED, self._leave)
            return
        self._accept()
        if not self._house.clients:
            self._listener.close()
            self._loop.stop()
        locks.unlock(self._lock)

    def _retire(self) -> None:
        self._loop.forget(self._told)
        self._loop.forget(self._listener.fileno())
        self._listener.close()
        self._waiting.cancel()
        for client in self._house.clients:
            client.retire()
        self._loop.later(_RETIREMENT, self._loop.stop)
        self._stop_when_idle()

    def _stop_when_idle(self) -> None:
        if any(client.is_busy for client in self._house.clients):
            self._loop.later(_LOCKED, self._stop_when_idle)
        else:
            self._loop.stop()


def main(networks: str, network: str) -> None:
    """Be the resolver of ``network``. ``networks`` is RUN/networks.

    Descriptor 3 is the socket to listen on; without it, a socket is made.
    """
    os.closerange(LISTENER + 1, 1 << 30)
    Path("/proc/self/comm").write_text("minirt-resolver")
    os.chdir(networks)  # The only way to the leases, once we are nobody: no path leads there.
    lease_folder.made(Path(network) / "leases")
    for folder in Path().glob("*/leases"):
        with suppress(FileNotFoundError):  # That network is being removed.
            lease_folder.open_up(folder)
    listener = _given() or resolver_start.listen(Path(network))
    listener.setblocking(False)
    lock = os.open(Path(network) / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    resolver_user.become(network)
    Resolver(listener, lock).run()


def _given() -> socket.socket | None:
    try:
        listener = socket.socket(fileno=LISTENER)
    except OSError:
        return None
    os.set_inheritable(LISTENER, False)
    if listener.family == socket.AF_UNIX:
        return listener
    listener.detach()  # Somebody else's.
    return None


if __name__ == "__main__":
    main(*sys.argv[1:])
