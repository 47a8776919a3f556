"""Start the resolver of a network, as a process that belongs to nobody.

resolver_link.py says when, and why nobody has to wait for it.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import time
from pathlib import Path

from minirt import __version__
from minirt.errors import KernelRefused
from minirt.kernel import sockets
from minirt.kernel.steps import step

SOCKET, LOCK, LOG = "resolver.sock", "resolver.lock", "resolver.log"
LISTENER = 3  # the resolver's descriptor of its socket; 0, 1 and 2 are /dev/null and the log

_STARTS, _SPAN = 5, 10.0  # More starts in fewer seconds: it can't live here.
_NUMBER = re.compile(r"\d+")  # here, not by each command that comes from a server
_BACKLOG = 4096  # net.core.somaxconn: so many containers may be waiting for a start

_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from minirt import light_dataclasses; light_dataclasses.stand_in(); "
    "from minirt.network.resolver import main; main(*sys.argv[2:])"
)


def note(lock: int) -> None:
    """Write our version and the moment into the lock file.

    Raises KernelRefused if there were many moments lately.
    """
    now = time.monotonic()
    _, *words = _noted(lock)
    starts = [float(word) for word in words][-_STARTS:]
    if len(starts) == _STARTS and now - starts[0] < _SPAN:
        raise KernelRefused("A network's resolver keeps dying", "", f"Its {LOG} may say why.")
    os.ftruncate(lock, 0)
    os.pwrite(lock, " ".join([__version__, *map(str, [*starts, now])]).encode(), 0)


def is_older(lock: int) -> bool:
    """Say whether the last resolver was started by an older minirt than this one."""
    return _numbers(_noted(lock)[0]) < _numbers(__version__)


def _noted(lock: int) -> list[str]:
    return os.pread(lock, 1 << 12, 0).decode().split() or ["0"]


def _numbers(version: str) -> list[int]:
    return [int(digits) for digits in _NUMBER.findall(version)]


def start(folder: Path) -> None:
    """Start a resolver that listens on a new socket. It belongs to nobody's session."""
    with listen(folder) as listener:
        words = [str(Path(__file__).parents[2]), str(folder.parent), folder.name]
        with step("start the network's resolver", "setsid", "--fork", *_typed(words)):
            _spawn(listener, folder / LOG, words)


def listen(folder: Path) -> socket.socket:
    """Return a new listening socket, in the place of one that a dead resolver left."""
    return sockets.listen_at(folder, SOCKET, socket.SOCK_SEQPACKET, _BACKLOG)


def _spawn(listener: socket.socket, log: Path, words: list[str]) -> None:
    """Start the process, posix_spawn(3): without a copy of our memory, ten times fork's speed.

    It is a child that nobody waits for. Its parent usually ends first; if not, a dead resolver
    stays in the list of processes until then. A second fork to prevent that costs 3 to 15 ms.
    """
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


def _typed(words: list[str]) -> list[str]:
    return [sys.executable, "-m", "minirt.network.resolver", *words[1:]]
