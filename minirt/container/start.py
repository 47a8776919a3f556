"""How a container that is made gets started: by the command process, up to its open gate."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from minirt.container import (
    alive,
    birth,
    building,
    copying,
    creation,
    ending,
    etc_files,
    joining,
    layer,
    lifecycle,
    name_service,
    networking,
    protocol,
    record,
    sharing,
    spec_builder,
    sweeping,
    user_ids,
)
from minirt.container.building import Plan, Site
from minirt.container.life import Life
from minirt.container.name_service import Service
from minirt.container.networking import Wiring
from minirt.container.options import Request
from minirt.container.record import Record
from minirt.container.undoing import taking_back, undisturbed
from minirt.container.user_ids import Range
from minirt.errors import Conflict, MinirtError
from minirt.images import store as images
from minirt.kernel import (
    descriptors,
    namespaces,
    processes,
    steps,
    terminal_modes,
)
from minirt.kernel.clone import Child
from minirt.runtime import reader
from minirt.runtime.rootfs import Overlay
from minirt.state import made

NOT_STARTED = 128  # Docker's exit code of a container that could not be started


Outputs = tuple[tuple[int, int], ...]  # the reader of a pipe, and where what comes there goes


@dataclass(frozen=True, slots=True)
class Started:
    """A container whose command runs; ``line`` is attached to it if that was asked for.

    ``outputs`` are for :func:`attach.converse`.
    """

    record: Record
    line: socket.socket | None
    outputs: Outputs = ()

    def attached(self) -> socket.socket:
        """Return the connection; to be called if it was asked for."""
        assert self.line is not None
        return self.line


def run(request: Request, container_id: str, *, attach: bool) -> Started:
    """Make a container and start it; its init is being born while its record is written.

    Raises what :func:`creation.finish` and :func:`start` do: then nothing is left of it but
    what :func:`creation.forget` removes.
    """
    with sharing.reporting_ends(request.host), taking_back() as held:
        begun = creation.begin(request, container_id, held)
        site = None
        if not begun.host.cgroup_parent:  # There nobody would find it without the record.
            site = building.begin(begun.id, begun.host, held)
        one, layers = creation.finish(begun, request, by_run=True)
        site = site or building.begin(one.id, one.host, held)
        overlay = layer.over_image(one, layers)
        attached = _start(one, overlay, site, begun.lock, held, attach=attach, is_new=True)
    steps.show()
    return Started(one, *attached)


def start(one: Record, *, attach: bool) -> Started:
    """Start a container that does not run.

    Raises Conflict if it runs; NotFound, Exhausted, InvalidRequest, KernelRefused,
    CommandNotFound or CommandNotRunnable if it can't start: then nothing is held any more.
    """
    with sharing.reporting_ends(one.host), taking_back() as held:
        lock = _become_alive(one)
        held.callback(alive.let_go, one.id, lock)
        with _recording_failure(one.id):
            with steps.phase("find the image"):
                layers = images.find(one.image_id).layers
            overlay = layer.over_image(one, layers)
            site = building.begin(one.id, one.host, held)
            attached = _start(one, overlay, site, lock, held, attach=attach)
    steps.show()
    return Started(one, *attached)


@contextmanager
def _recording_failure(container_id: str) -> Iterator[None]:
    """Keep for ``inspect`` why a container could not be started, with Docker's exit code."""
    try:
        yield
    except (MinirtError, OSError) as error:
        code = (error.exit_code if isinstance(error, MinirtError) else None) or NOT_STARTED
        last = record.load_last(container_id)
        record.save_last(container_id, replace(last, exit_code=code, error=str(error)))
        raise


def _start(
    one: Record,
    overlay: Overlay,
    site: Site,
    lock: int,
    held: ExitStack,
    *,
    attach: bool,
    is_new: bool = False,
) -> tuple[socket.socket | None, Outputs]:
    """Start it, and leave it to its monitor.

    Return the line to that if it is attached, and the outputs that do not go through the monitor.
    """
    wiring = networking.prepare(one, held)
    ids = user_ids.take(one, held)
    service = name_service.plan(one, [plug.network for plug in wiring.plugs])
    plan = _plan(one, overlay, wiring, service, lock, ids)
    outputs: Outputs = ()
    if attach and one.host.log_driver == "none":
        outputs, writers = _own_outputs(held)
        plan = replace(plan, own_outputs=writers)
    held.callback(networking.unpublish, wiring)
    held.callback(plan.holdings.drop_names)

    def wire(init: Child, born: int) -> None:
        with namespaces.network_of(init.pid) as netns:
            if processes.wait_until_dead(init.pidfd, 0):
                raise ProcessLookupError(init.pid)  # It may be another's, and its network too.
            networking.connect(one, wiring, netns, init.pid, born)
            plan.holdings.take_names(service.introduction, name_service.open_all(service, netns))
        if is_new:
            sweeping.sweep()  # while init mounts

    created, own = building.build(site, plan, wire, held)
    ours = None
    if attach:
        ours, own = _attached(own, held)

    def meanwhile() -> None:
        birth.hand_over(site.monitor, own)
        if is_new:
            creation.make_last(one)

    building.let_run(created, one, meanwhile)
    with undisturbed():
        birth.let_live(site.monitor)
        held.pop_all()  # From here on the monitor frees what it holds.
    descriptors.close({*own.descriptors(), *plan.own_outputs.values()})
    return ours, outputs


def _own_outputs(held: ExitStack) -> tuple[Outputs, dict[int, int]]:
    """Make pipes for those of streams 1 and 2 that are pipes: nothing else has to see the bytes.

    Return the readers, and the writers by the streams' numbers: one for both if both are one pipe.
    """
    outputs: list[tuple[int, int]] = []
    writers: dict[int, int] = {}
    for fd in filter(copying.is_pipe, (1, 2)):
        if fd == 2 and 1 in writers and copying.are_one_pipe(1, 2):  # The order stays.
            writers[2] = writers[1]
            continue
        reader, writers[fd] = os.pipe()
        held.callback(descriptors.close, [reader, writers[fd]])
        copying.widened(reader)
        outputs.append((reader, fd))
    return tuple(outputs), writers


def _attached(own: Life, held: ExitStack) -> tuple[socket.socket, Life]:
    """Return a line to the monitor, and what that is to hold with the other end of it.

    With it comes the pipe of who wants to know where the time goes, to the very end.
    """
    ours, theirs = protocol.pair()
    held.callback(ours.close)
    pipe = steps.pipe_of_phases()
    fd, story = theirs.detach(), None if pipe is None else os.dup(pipe)
    held.callback(descriptors.close, [fd, story])
    return ours, replace(own, attached=fd, story=story)


def _become_alive(one: Record) -> int:
    """Take the lock that says "alive". Raises Conflict, NotFound."""
    try:
        lock = alive.take(one.id, alive.SOON)
    except BlockingIOError:
        lifecycle.check_is_there(one)
        raise Conflict(f"Container {one.name} runs already") from None
    try:
        lifecycle.check_is_there(one)
        ending.sweep_dead(one)  # What a monitor that was killed has left.
    except BaseException:
        alive.let_go(one.id, lock)
        raise
    return lock


def _plan(
    one: Record, overlay: Overlay, wiring: Wiring, service: Service, lock: int, ids: Range | None
) -> Plan:
    """Decide, and write the files that the container will see."""
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
    made(record.run_directory(one.id) / "rootfs")
    holdings = networking.hold(wiring, one.id, lock)
    holdings.ids = ids.lock if ids else None
    return Plan(one, document, reader.read(document), overlay, holdings)
