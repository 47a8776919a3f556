"""The resolver of one network: the process that answers at 127.0.0.11 in its containers.

    resolver_link   how a container's monitor finds it, or starts it (the whole argument)
    client          one container: its sockets, its questions
    answers         from the zones (zone, zone_watch), kept in wire form (wire, question)
    forward         everything else, asked elsewhere (attempt, upstream)

It holds nothing that is not in files or in its clients' hands, so it may be killed at any
moment; and it leaves by itself when it has had no client for a while.
"""

from __future__ import annotations

import os
import resource
import socket
import sys
from pathlib import Path

from minirt.kernel import capabilities, locks
from minirt.network import resolver_start
from minirt.network.client import Client, House
from minirt.network.forward import Traffic
from minirt.network.loop import Loop
from minirt.network.resolver_start import LISTENER, LOCK, SOCKET
from minirt.network.upstream import Host, Memory
from minirt.network.zone_watch import Watch

_LINGER = 3.0  # seconds without a client; containers often come one after the other
_LOCKED = 0.1  # seconds; somebody is connecting right now


class Resolver:
    """Accepts clients, and decides when to leave."""

    def __init__(self, networks: Path, network: str, listener: socket.socket) -> None:
        self._directory = networks / network
        self._listener = listener
        self._inode = _inode(self._directory / SOCKET)
        self._loop = Loop()
        traffic = Traffic(self._loop, Memory())
        self._house = House(self._loop, Watch(networks), traffic, Host())
        self._loop.watch(listener.fileno(), self._accept)
        self._waiting = self._loop.later(_LINGER, self._leave)

    def run(self) -> None:
        """Serve until nobody is left to be served."""
        self._loop.run()

    def _accept(self) -> None:
        try:
            link, _ = self._listener.accept()
        except OSError:
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
            lock = locks.acquire(self._directory / LOCK)
        except BlockingIOError:
            self._waiting = self._loop.later(_LOCKED, self._leave)
            return
        except FileNotFoundError:  # The network was removed, and its folder with it.
            self._loop.stop()
            return
        self._accept()
        if not self._house.clients:
            if _inode(self._directory / SOCKET) == self._inode:  # Else it is another's.
                (self._directory / SOCKET).unlink(missing_ok=True)
            self._listener.close()
            self._loop.stop()
        os.close(lock)


def main(networks: str, network: str) -> None:
    """Be the resolver of ``network``. ``networks`` is RUN/networks.

    Descriptor 3 is the socket to listen on; without it, a socket is made.
    """
    folder = Path(networks).absolute()
    os.chdir("/")
    os.closerange(LISTENER + 1, 1 << 30)
    Path("/proc/self/comm").write_text("minirt-resolver")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    _be_mortal()
    listener = _given() or resolver_start.listen(folder / network)
    listener.setblocking(False)
    _drop_privileges()
    Resolver(folder, network, listener).run()


def _be_mortal() -> None:
    """Give up the protection of the monitor that started us: we are easily replaced."""
    adjustment = Path("/proc/self/oom_score_adj")  # proc_pid_oom_score_adj(5)
    if int(adjustment.read_text()) < 0:
        adjustment.write_text("0")


def _drop_privileges() -> None:
    """Keep what entering a container's network takes: every packet is a stranger's.

    setns(2) wants CAP_SYS_ADMIN, SIOCGSKNS wants CAP_NET_ADMIN; leases are root's, as we are.
    """
    kept = capabilities.mask(["CAP_SYS_ADMIN", "CAP_NET_ADMIN"]) & capabilities.bounding()
    capabilities.limit_bounding(kept)
    capabilities.set_sets(capabilities.Sets(effective=kept, permitted=kept))


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


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


if __name__ == "__main__":
    main(*sys.argv[1:])
