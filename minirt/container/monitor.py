"""The one process that a container's life hangs on.

The monitor holds the locks that say "alive", the leases of its addresses, its host ports and
its DNS sockets, and it is process 1 of a PID namespace *around* the container's own: kill it,
with any signal, and the kernel kills init, whatever that does, ends its namespaces, drops its
wires and frees its locks. No daemon has to notice.

    command                                 monitor
       |  ---- fork, early -----------------> |   by the server, where there is one
       |  ---- "bear", the line to init ----> |  --- clone ---> init, which mounts its root
       |  <--- a pidfd of init -------------- |
       |  (plans, wires init up,              |
       |   lets it become its command)        |
       |  ---- all that there is to hold ---> |   gets ready
       |  ---- "live": the command runs ----> |   lives for it (life.py)

The command does the work: a forked process shares its parent's memory until one of the two
writes, so who builds a container has 9 MB of its own in the end. The monitor has done next to
nothing, and stays small. Of networking it does nothing but close ports in the end. Until it is to
live, the end of the line tells it that the start has failed, or that the command is dead: it
leaves, init with it.
"""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress
from typing import Any

from minirt.container import life, protocol
from minirt.container.life import Life
from minirt.errors import pack
from minirt.kernel import descriptors, namespaces, parcels, processes, sockets, steps
from minirt.kernel.clone import Child
from minirt.kernel.namespaces import Namespace, Netns
from minirt.runtime import birth, handshake, launch

IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP)


def main(line: socket.socket, *, ahead: bool = False) -> int:
    """Bear init, wait for what is to be held, and live for it; return the exit code.

    One that was forked ``ahead`` of a command makes a network namespace while nobody waits.
    """
    steps.speak_as("monitor")
    _leave_the_parent(line)
    try:
        given, line = _serve(line, _network() if ahead else None)
    except (EOFError, BrokenPipeError):
        return 0  # Nobody wanted it, or who did has given up, or was killed.
    steps.fall_silent()
    return life.live(given, line)


def _leave_the_parent(line: socket.socket) -> None:
    """Keep nothing of the process that forked us."""
    os.setsid()
    os.chdir("/")
    os.umask(0o022)
    # Init inherits them, and is seen by others with --pid container:NAME; they may have secrets.
    processes.hide_command_line("minirt-monitor")
    null = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    processes.close_all_but({0, 1, 2, line.fileno(), *steps.descriptors()})
    for one in IGNORED:
        signal.signal(one, signal.SIG_IGN)


def _network() -> Netns | None:
    with suppress(OSError):  # If it can't be now, init is refused it as well, and says why.
        return namespaces.new_network()
    return None


def _serve(line: socket.socket, network: Netns | None) -> tuple[Life, socket.socket]:
    """Do what the command asks for until it hands over what it has; return it, and the line.

    That may have had to make room. Raises EOFError.
    """
    numbers: list[int] = []
    held: list[int] = []
    while True:
        message, fds = protocol.hear_json(line)
        if "bear" in message:
            if message["bear"] is None:  # What comes with the plan may have our line's number.
                line = sockets.moved_above(line, message["highest"])
            _bear(line, message["bear"], fds, network)
            continue
        numbers += message["numbers"]
        held += fds
        if message["more"]:
            continue
        line = sockets.moved_above(line, max(*numbers, *held))
        return _received(numbers, held), line


def _bear(line: socket.socket, kinds: int | None, fds: list[int], network: Netns | None) -> None:
    """Have init born in new namespaces of these kinds; None: the plan comes first, and says.

    The ``network`` is used for it, or closed.
    """
    inits = handshake.of_descriptor(fds[0])
    cgroup = fds[1] if len(fds) > 1 else None
    try:
        child = _born(kinds, cgroup, inits, network)
    except BaseException as error:
        answer: dict[str, Any] = {"error": pack(launch.explained(error)).decode()}
        protocol.tell(line, answer)
        return
    finally:
        descriptors.close([cgroup])
    protocol.tell(line, {}, (child.pidfd,))
    os.close(child.pidfd)


def _born(
    kinds: int | None, cgroup: int | None, inits: handshake.Line, network: Netns | None
) -> Child:
    ready = network.fd if network else None
    if kinds is not None:
        try:
            return birth.give_early(Namespace(kinds), cgroup, inits, network)
        finally:
            inits.close()
            descriptors.close([ready])
    descriptors.close([ready])  # What comes with the plan may have its number.
    plan, inits = birth.receive(inits)
    try:
        return birth.give(plan, inits)
    finally:
        inits.close()
        descriptors.close(plan.descriptors())


def _received(numbers: list[int], held: list[int]) -> Life:
    state, link, given = parcels.unpack(held[0], numbers[1:], held[1:])
    os.environ.update(state)
    assert isinstance(given, Life)
    given.holdings.link = socket.socket(fileno=link) if link is not None else None
    return given
