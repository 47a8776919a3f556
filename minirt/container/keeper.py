"""A monitor that has built nothing: a small process for the long part of a container's life.

A forked process shares its parent's memory until one of the two writes. In Python a mere look
at an object writes, since the object counts who refers to it. So a monitor that has built a
container has copied 9 MB of what it shared. The fork server therefore forks, beside a command
that may start a container, a *keeper* that does nothing yet:

    command                    monitor                     keeper
       |                                                      |  process 1 of the PID namespace
       |                                                      |  around the container
       | ------- fork ----------> |  born in that namespace   |
       |                          |  builds the container     |
       | <-- {"started": true} -- |                           |
       |                          | -- all that it holds ---> |
       |                       leaves                         |  is the monitor from here on

Init, an orphan then, becomes the child of its PID namespace's process 1, and it is that one
whose end is the container's end, before as after (pid_namespaces(7)). If the monitor is killed
before it has handed over, or the container has ended at once, the keeper hears the end of the
line, and leaves, too. Without a fork server there is no keeper, and the monitor stays what it is.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

from minirt.container import life, protocol
from minirt.container.life import Life
from minirt.kernel import clone, descriptors, processes
from minirt.kernel.namespaces import Namespace

VERBS = frozenset({"run", "start", "restart"})  # what may start a container
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP)
_AT_ONCE = 64  # descriptors in one packet

_offered: socket.socket | None = None


@dataclass(frozen=True, slots=True)
class Keeper:
    """A keeper that waits: the line to it, and its pid."""

    line: socket.socket
    pid: int


def may_be_wanted(words: Collection[str]) -> bool:
    """Say whether a command line may be one that starts a container."""
    return not VERBS.isdisjoint(words)


def start(line: socket.socket) -> int:
    """Fork a keeper, and tell its number to the other end of ``line``; return its pidfd.

    Raises OSError where this process may not make namespaces.
    """
    child = clone.clone(lambda: main(line), Namespace.PID)
    with suppress(OSError):  # Nobody is there who could want it: it leaves.
        protocol.tell(line, {"pid": child.pid})
    return child.pidfd


def offer(line: socket.socket) -> None:
    """Let this process take the keeper at the other end of ``line`` if it wants one."""
    global _offered
    _offered = line


def take() -> Keeper | None:
    """Return the keeper that was offered, once; None: there is none, or it has died."""
    global _offered
    line, _offered = _offered, None
    if line is None:
        return None
    try:
        return Keeper(line, int(protocol.hear_json(line)[0]["pid"]))
    except (OSError, EOFError):
        line.close()
        return None


def hand_over(keeper: Keeper, given: Life) -> None:
    """Give everything that a monitor has to the keeper. Raises OSError if that has died."""
    link, given.holdings.link = given.holdings.link, None
    numbers = sorted(given.descriptors() | ({link.fileno()} if link else set()))
    state = {name: value for name, value in os.environ.items() if name.startswith("MINIRT_")}
    own = os.pidfd_open(os.getpid())
    note = os.memfd_create("life")
    with os.fdopen(os.dup(note), "wb") as file:
        pickle.dump((state, numbers, link.fileno() if link else None, given), file)
    fds = [own, note, *numbers]
    while fds:
        now, fds = fds[:_AT_ONCE], fds[_AT_ONCE:]
        protocol.tell(keeper.line, {"more": bool(fds)}, tuple(now))


def main(line: socket.socket) -> int:
    """Wait for a container, then live for it; return the exit code of this process."""
    os.setsid()
    for one in IGNORED:
        signal.signal(one, signal.SIG_IGN)
    processes.close_all_but({0, 1, 2, line.fileno()})
    try:
        given = _receive(line)
    except EOFError:
        return 0  # Nobody wanted it, or who did was killed.
    return life.live(given)


def _receive(line: socket.socket) -> Life:
    """Return what the monitor hands over, once it has left. Raises EOFError."""
    fds: list[int] = []
    more = True
    while more:
        message, some = protocol.hear_json(line)
        fds += some
        more = message["more"]
    monitor, note, *held = fds
    with os.fdopen(note, "rb") as file:
        file.seek(0)
        state, numbers, link, given = pickle.load(file)
    os.environ.update(state)
    processes.wait_until_dead(monitor)  # From then on init is a child of ours.
    os.close(monitor)
    line.close()
    descriptors.renumber(dict(zip(numbers, held, strict=True)))
    assert isinstance(given, Life)
    given.holdings.link = socket.socket(fileno=link) if link is not None else None
    return given
