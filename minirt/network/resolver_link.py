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
the lock. A resolver that leaves looks a last time for connections, and removes its socket's
name, before it lets go of the lock. One that was killed leaves a name to which nobody
listens (ECONNREFUSED): the next to connect replaces it.

**Who starts it.** Usually the command that starts a container: then the resolver is a
process like any other. If it is killed, all monitors of the network wake, the first to get
the lock starts the next one, and the others find it. That one is born in the PID namespace
of its monitor and dies with it (pid_namespaces(7): one can't enter an ancestor's namespace
to give birth there), which is the same case again: the others wake.

This runs in monitors, so it imports next to nothing.
"""

from __future__ import annotations

import array
import errno
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from minirt.errors import kernel_refused
from minirt.kernel import locks, processes
from minirt.kernel.namespaces import Netns, inside
from minirt.kernel.steps import step
from minirt.state import made, run_dir

SOCKET, LOCK, LOG = "resolver.sock", "resolver.lock", "resolver.log"
LISTENER = 3  # the resolver's descriptor of its socket; 0, 1 and 2 are /dev/null and the log
ADDRESS = "127.0.0.11"  # Docker's: programs know it

_PATIENCE = 2.0  # seconds; a resolver that was stopped (SIGSTOP) must not stop others
_PAUSE = 0.002  # seconds between two tries for the lock
_STARTS, _SPAN = 5, 10.0  # More starts in fewer seconds: it can't live here.
_BACKLOG = 4096  # net.core.somaxconn: so many containers may be waiting for a start
_BUFFER = 1 << 20  # bytes of queries that can wait for a resolver
_SO_RCVBUFFORCE = 33  # include/uapi/asm-generic/socket.h

_PROGRAM = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from minirt.network.resolver import main; main(*sys.argv[2:])"
)


def sockets(netns: Netns) -> tuple[int, int]:
    """Return a UDP socket and a TCP listener at 127.0.0.11, inside ``netns``.

    Both have the same, random port, and a rule in there maps port 53 of that address to it:
    a server of the container's own may still take port 53 of all addresses.
    """
    from minirt.kernel import loopback, nftables

    loopback.set_up(netns)  # Before, there is no address to bind to.
    with inside(netns):
        tcp, udp = _pair()
    port = tcp.getsockname()[1]
    rule = f"ip daddr {ADDRESS} meta l4proto {{ tcp, udp }} th dport 53 dnat to {ADDRESS}:{port}"
    chain = f"chain output {{ type nat hook output priority dstnat; {rule}; }};"
    commands = (
        f"add table ip minirt_dns; flush table ip minirt_dns; table ip minirt_dns {{ {chain} }}"
    )
    try:
        nftables.run(commands, "lead port 53 of 127.0.0.11 to the resolver", netns)
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
            try:
                return _dial(folder)
            except (FileNotFoundError, ConnectionRefusedError):
                _note_start(lock)
                _start(folder)
                return _dial(folder)
        finally:
            os.close(lock)
    except OSError as error:
        raise kernel_refused(f"The resolver of network {network} can't be reached", error) from None


def introduce(
    link: socket.socket,
    *,
    container: str,
    networks: Sequence[str],
    servers: Sequence[str] = (),
    internal: bool = False,
    ndots: int = 0,
    sockets: tuple[int, int] | None = None,
) -> None:
    """Tell the resolver whom it serves; again, without ``sockets``, when that changes.

    ``networks`` in the order of search: the first that knows a name wins. ``servers`` are
    asked from inside the container (--dns), or this machine's if there are none and the
    container isn't ``internal`` to all its networks. Never waits. Raises OSError when the
    connection has ended.
    """
    words = {
        "container": container,
        "networks": list(networks),
        "servers": list(servers),
        "internal": internal,
        "ndots": ndots,
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
    link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        link.settimeout(_PATIENCE)
        _at(folder, link.connect)
        link.setblocking(False)
    except BaseException:
        link.close()
        raise
    return link


def _note_start(lock: int) -> None:
    """Write the moment into the lock file. Raises OSError if there were many lately."""
    now = time.monotonic()
    text = os.pread(lock, 1 << 12, 0)
    starts = [float(word) for word in text.split()][-_STARTS:]
    if len(starts) == _STARTS and now - starts[0] < _SPAN:
        raise OSError(errno.EAGAIN, f"it keeps dying: see {LOG} in the network's run folder")
    os.ftruncate(lock, 0)
    os.pwrite(lock, " ".join(map(str, [*starts, now])).encode(), 0)


def _start(folder: Path) -> None:
    """Start a resolver that listens on a new socket. It belongs to nobody's session."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with listener:
        (folder / SOCKET).unlink(missing_ok=True)
        _at(folder, listener.bind)
        listener.listen(_BACKLOG)
        words = [str(Path(__file__).parents[2]), str(folder.parent), folder.name]
        with step("start the network's resolver", "setsid", "--fork", *_typed(words)):
            # An orphan from birth: whoever adopts it reaps it, and our caller need not.
            child = processes.fork(lambda: _spawn(listener, folder / LOG, words))
            if processes.wait(child) != 0:
                raise OSError(errno.ECHILD, "its process can't be started")


def _spawn(listener: socket.socket, log: Path, words: list[str]) -> int:
    append = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    os.posix_spawn(
        sys.executable,
        [sys.executable, "-I", "-c", _PROGRAM, *words],
        {"PATH": os.defpath},  # Nothing of a user's environment reaches a helper.
        file_actions=[
            (os.POSIX_SPAWN_DUP2, listener.fileno(), LISTENER),
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, str(log), append, 0o600),
        ],
        setsid=True,
        setsigmask=[],
        setsigdef=set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP},
    )
    return 0


def _typed(words: list[str]) -> list[str]:
    return [sys.executable, "-m", "minirt.network.resolver", *words[1:]]


def _at(folder: Path, call: Callable[[str], None]) -> None:
    """Call with the socket's path, however deep the folder: sun_path ends at 107 bytes."""
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        call(f"/proc/self/fd/{fd}/{SOCKET}")
    finally:
        os.close(fd)
