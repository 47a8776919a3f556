"""How a container gets its network's resolver, and gets it back when it was killed.

    resolver.lock   held while somebody connects, starts a resolver, or while one leaves
    resolver.sock   the resolver's socket (SOCK_SEQPACKET: messages, and an end)
    resolver.log    what the last resolver had to complain about

**A connection is a promise.** A monitor connects and hands over its container's two sockets
at 127.0.0.11. The resolver serves them for as long as the connection lives: its end tells
that the container is dead, without a poll, a pid or a lease. The other way round, its end
tells the monitor that the resolver is dead; the monitor connects again.

**No query is lost.** The monitor keeps the sockets open too. What arrives while no resolver
lives waits in the socket. Only a query that the dead one had taken out and not yet answered
is lost, and its client asks again (resolv.conf(5), attempts).

**Nobody waits for a resolver to start.** Whoever finds none makes the listening socket
*itself*, gives it to the new process as descriptor 3, and connects to it at once: the
connection and its message wait in the socket too.

**Two can't start it, and none can miss its end.** Both connecting and leaving happen under
the lock. A resolver that leaves looks a last time for connections before it lets go of the
lock. Like one that was killed it leaves a name to which nobody listens (ECONNREFUSED): it has no
right to remove it. The next to connect replaces it.

**Who starts it.** Usually the command that starts a container: then the resolver is a
process like any other. If it is killed, all monitors of the network wake, the first to get
the lock starts the next one, and the others find it. That one is born in the PID namespace
of its monitor and dies with it (pid_namespaces(7): one can't enter an ancestor's namespace
to give birth there), which is the same case again: the others wake.

**After an upgrade** the first of the new minirt that connects finds an older version noted in the
lock file. It tells that resolver to retire and starts its own, all under the lock. The old one
closes its connections, reads no further question, answers those that it has, and leaves; to the
monitors, which are of the old version still, it is as if it had died. So words may be added to an
introduction, but never taken away.

This runs in monitors, so it imports next to nothing.
"""

from __future__ import annotations

import array
import errno
import json
import os
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from minirt.errors import kernel_refused
from minirt.kernel import locks
from minirt.kernel.namespaces import Netns, inside
from minirt.kernel.sockets import connect_to
from minirt.network import lease_folder, resolver_start
from minirt.network.resolver_start import LOCK, SOCKET
from minirt.state import made, run_dir

ADDRESS = "127.0.0.11"  # Docker's: programs know it

_PATIENCE = 2.0  # seconds; a resolver that was stopped (SIGSTOP) must not stop others
_PAUSE = 0.002  # seconds between two tries for the lock
_BUFFER = 1 << 20  # bytes of queries that can wait for a resolver
_SO_RCVBUFFORCE = 33  # include/uapi/asm-generic/socket.h


def sockets(netns: Netns) -> tuple[int, int]:
    """Return a UDP socket and a TCP listener at 127.0.0.11, inside ``netns``.

    Both have the same, random port, and rules in there lead port 53 of that address to it:
    a server of the container's own may still take port 53 of all addresses.
    """
    from minirt.kernel import loopback
    from minirt.network import resolver_rules

    loopback.set_up(netns)  # Before, there is no address to bind to.
    with inside(netns):
        tcp, udp = _pair()
    try:
        resolver_rules.load(ADDRESS, tcp.getsockname()[1], netns)
    except BaseException:
        tcp.close()
        udp.close()
        raise
    return udp.detach(), tcp.detach()


def connect(network: str) -> socket.socket:
    """Return a connection to the network's resolver, which is started if none lives.

    Raises KernelRefused; a monitor then tries again after a second.
    """
    folder = made(run_dir() / "networks" / network)
    try:
        lock = _lock(folder / LOCK)
        try:
            return _dial_ours(folder, lock)
        finally:
            os.close(lock)
    except OSError as error:
        raise kernel_refused(f"The resolver of network {network} can't be reached", error) from None


def _dial_ours(folder: Path, lock: int) -> socket.socket:
    """Return a connection to a resolver that is no older than we are."""
    try:
        link = _dial(folder)
    except (FileNotFoundError, ConnectionRefusedError):  # never was one; it has gone
        pass
    else:
        if not resolver_start.is_older(lock):
            return link
        with link, suppress(OSError):  # It has died meanwhile: as good.
            link.send(json.dumps({"retire": True}).encode(), socket.MSG_NOSIGNAL)
    resolver_start.note(lock)
    resolver_start.start(folder)
    return _dial(folder)


def dismiss(network: str) -> None:
    """Let the network's resolver leave with its last container, without lingering."""
    try:
        link = _dial(run_dir() / "networks" / network)
    except OSError:  # There is none.
        return
    with link:
        link.settimeout(_PATIENCE)
        try:
            link.send(json.dumps({"leave": True}).encode(), socket.MSG_NOSIGNAL)
            link.recv(1)  # The end of the connection: it has understood.
        except OSError:
            pass  # It was killed meanwhile, or is stopped: nobody has to wait for it.


def introduce(
    link: socket.socket,
    *,
    container: str,
    networks: Sequence[str],
    servers: Sequence[str] = (),
    internal: bool = False,
    bare: bool = False,
    sockets: tuple[int, int] | None = None,
) -> None:
    """Tell the resolver whom it serves; again, without ``sockets``, when that changes.

    ``networks`` in the order of search: the first that knows a name wins. ``servers`` are
    asked from inside the container (--dns), or this machine's if there are none and the
    container isn't ``internal`` to all its networks; for addresses of names without a dot only
    if ``bare``. Never waits. Raises OSError when the connection has ended.
    """
    for network in networks:
        lease_folder.made(run_dir() / "networks" / network / "leases")
    words = {
        "container": container,
        "networks": list(networks),
        "servers": list(servers),
        "internal": internal,
        "bare": bare,
    }
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", sockets))] if sockets else []
    link.sendmsg([json.dumps(words).encode()], rights, socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT)


def _pair() -> tuple[socket.socket, socket.socket]:
    while True:
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            udp.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
            tcp.bind((ADDRESS, 0))
            udp.bind((ADDRESS, tcp.getsockname()[1]))
            tcp.listen()
            return tcp, udp
        except OSError as error:
            tcp.close()
            udp.close()
            if error.errno != errno.EADDRINUSE:
                raise  # Else UDP has that number for something else: take another.


def _lock(path: Path) -> int:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return locks.acquire(path)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE)


def _dial(folder: Path) -> socket.socket:
    link = connect_to(folder, SOCKET, socket.SOCK_SEQPACKET, _PATIENCE)
    link.setblocking(False)
    return link
