"""How a container that is made gets started: by the command process, up to its open gate."""

from __future__ import annotations

import os
import shutil
import socket
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from minirt.container import (
    birth,
    copying,
    ending,
    etc_files,
    joining,
    keeper,
    layer,
    lifecycle,
    name_service,
    networking,
    protocol,
    record,
    sharing,
    spec_builder,
    user_ids,
)
from minirt.container.monitor import Plan
from minirt.container.name_service import Service
from minirt.container.networking import Wiring
from minirt.container.record import Record
from minirt.container.user_ids import Range
from minirt.errors import Conflict, MinirtError, unpack
from minirt.kernel import (
    descriptors,
    locks,
    namespaces,
    processes,
    steps,
    terminal_modes,
)
from minirt.runtime import reader
from minirt.state import made, write_json

_SWEEP = 1.0  # seconds that a sweep may hold the lock of a container that does not live


@dataclass(frozen=True, slots=True)
class Started:
    """A container whose command runs; ``line`` is attached to it if that was asked for."""

    record: Record
    line: socket.socket | None

    def attached(self) -> socket.socket:
        """Return the connection; to be called if it was asked for."""
        assert self.line is not None
        return self.line


def start(one: Record, *, attach: bool, lock: int | None = None) -> Started:
    """Start a container that does not run. ``lock`` is its own if the caller has it already.

    Raises Conflict if it runs; NotFound, Exhausted, InvalidRequest, KernelRefused,
    CommandNotFound or CommandNotRunnable if it can't start: then nothing is held any more.
    """
    with ExitStack() as held:
        alive = _become_alive(one, lock)
        held.callback(_let_go, one, alive)
        wiring = networking.prepare(one, held)
        ids = user_ids.take(one, held)
        service = name_service.plan(one, [plug.network for plug in wiring.plugs])
        plan = _plan(one, wiring, service, alive, ids)
        if sharing.is_around(one):
            plan = replace(plan, keeper=keeper.take())
        if attach and one.host.log_driver == "none":
            plan = replace(plan, handed={fd: os.dup(fd) for fd in (1, 2) if copying.is_pipe(fd)})
            held.callback(descriptors.close, plan.handed.values())
        ours, theirs = protocol.pair()
        child = birth.give(plan, theirs)
        theirs.close()
        held.pop_all()  # From here on the monitor frees what it has inherited.
    try:
        _bring_up(one, wiring, service, ours, attach=attach)
        if plan.keeper and attach:  # It leaves long before us.
            processes.leave_unburied(child.pidfd)
        steps.show()
    except BaseException:
        ours.close()
        raise
    finally:
        descriptors.close([child.pidfd, *plan.handed.values(), *plan.holdings.descriptors()])
    if attach:
        return Started(one, ours)
    ours.close()
    return Started(one, None)


def _become_alive(one: Record, lock: int | None) -> tuple[Path, int]:
    """Take the lock that says "alive". Raises Conflict."""
    path = record.run_directory(one.id) / "alive"
    fd = _locked(one, path) if lock is None else lock
    if lock is None:  # else it was made just now
        ending.sweep_dead(one)  # What a monitor that was killed has left.
    return path, fd


def _locked(one: Record, path: Path) -> int:
    """Take the lock; a sweep may hold it for a moment, and remove its folder."""
    deadline = time.monotonic() + _SWEEP
    while True:
        try:
            return locks.acquire(made(path.parent) / path.name)
        except FileNotFoundError:
            continue
        except BlockingIOError:
            if lifecycle.init_of(one) or time.monotonic() > deadline:
                raise Conflict(f"Container {one.name} runs already") from None
        time.sleep(0.005)


def _let_go(one: Record, alive: tuple[Path, int]) -> None:
    shutil.rmtree(record.run_directory(one.id), ignore_errors=True)
    os.close(alive[1])


def _plan(
    one: Record, wiring: Wiring, service: Service, alive: tuple[Path, int], ids: Range | None
) -> Plan:
    """Write the files that the container will see, and its config.json."""
    folder = record.directory(one.id)
    kinds = sharing.namespaces_of(one)
    files = joining.host_of(one) or folder
    if files == folder:
        addresses = [str(address.ip) for plug in wiring.plugs for address in plug.addresses]
        etc_files.write_all(one, folder, addresses, service.text)
    document = spec_builder.build(one, kinds, files)
    user_ids.apply(document, one, ids)
    size = terminal_modes.size_of_first((0, 1, 2)) if one.config.tty else None
    if size:
        document["process"]["consoleSize"] = {"height": size[0], "width": size[1]}
    write_json(folder / "config.json", document, durable=False)
    made(record.run_directory(one.id) / "rootfs")
    overlay = layer.over_image(one)
    holdings = networking.hold(wiring, alive)
    holdings.ids = ids.lock if ids else None
    return Plan(one, reader.read(document), overlay, holdings)


def _bring_up(
    one: Record, wiring: Wiring, service: Service, line: socket.socket, *, attach: bool
) -> None:
    """Wire the container, and wait until its command runs.

    Raises what the monitor met, if anything, and else what we met: then all is free again.
    """
    try:
        _wire_up(one, wiring, service, line, attach=attach)
    except BaseException as error:
        monitors = _until_free(line, wiring)
        if monitors is not None:
            raise monitors from error
        raise


def _wire_up(
    one: Record, wiring: Wiring, service: Service, line: socket.socket, *, attach: bool
) -> None:
    isolated, fds = _hear(line)
    try:
        with namespaces.network_of(isolated["pid"]) as netns:
            if processes.wait_until_dead(fds[0], 0):
                raise _killed()  # Then the number may be another's by now, and its network too.
            networking.connect(one, wiring, netns, isolated["pid"], isolated["born"])
            sockets = name_service.open_all(service, netns)
    finally:
        descriptors.close(fds)
    try:
        message = {"attach": attach, "introduction": service.introduction}
        protocol.tell(line, message, sockets)
    finally:
        descriptors.close(sockets)
    _hear(line)


def _until_free(line: socket.socket, wiring: Wiring) -> MinirtError | None:
    """Tell the monitor that we have stopped wiring; wait until it has freed everything.

    Returns what it met, if that was not heard before.
    """
    met = None
    line.shutdown(socket.SHUT_WR)
    while True:
        try:
            message, fds = protocol.hear_json(line)
        except EOFError:
            networking.let_go(wiring)  # It was killed: what it held is ours alone.
            return met
        descriptors.close(fds)
        if "error" in message:
            met = unpack(message["error"].encode())
        if "free" in message or "started" in message:  # "started": we are too late.
            return met


def _hear(line: socket.socket) -> tuple[dict[str, Any], list[int]]:
    try:
        message, fds = protocol.hear_json(line)
    except EOFError:
        raise _killed() from None
    if "error" in message:
        raise unpack(message["error"].encode())
    return message, fds


def _killed() -> MinirtError:
    return MinirtError("The container did not start", "its monitor was killed")
