"""How a container is made, and removed: id and lock, record, name; and the reverse."""

from __future__ import annotations

import math
import os
import random
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from minirt.container import (
    alive,
    ending,
    lifecycle,
    names,
    options,
    record,
    sharing,
    stop,
    sweeping,
    volumes,
)
from minirt.container.log_writer import timestamp
from minirt.container.options import Request
from minirt.container.record import EndpointRequest, HostConfig, Record
from minirt.container.undoing import taking_back
from minirt.errors import Conflict, InvalidRequest, MinirtError, kernel_refused
from minirt.images import store as images
from minirt.kernel import descriptors, steps
from minirt.network import finding
from minirt.state import check_name, flush, new_id

_TRIES = 50
_DYING = 2.0  # seconds that a monitor may need to undo a start
_MOODS = ("bold", "calm", "deft", "eager", "fair", "glad", "keen", "lucid", "merry", "nimble")
_BIRDS = ("crane", "dunlin", "egret", "finch", "heron", "lark", "martin", "plover", "swift", "wren")


@dataclass(frozen=True, slots=True)
class Draft:
    """A container that has no record yet, but all that its init can be born by."""

    id: str
    host: HostConfig
    lock: int  # the one that says "alive"


def create(request: Request) -> Record:
    """Make a container. Raises NotFound, Conflict or InvalidRequest: then nothing was made."""
    container_id = new_id()
    with taking_back() as held:
        held.callback(forget, container_id)
        begun = begin(request, container_id, held)
        one, _ = finish(begun, request, by_run=False)
        sweeping.sweep()
        make_last(one)
    alive.let_go(one.id, begun.lock)
    return one


def begin(request: Request, container_id: str, held: ExitStack) -> Draft:
    """Begin a container, locked so that no sweep takes it for left over. Raises NotFound."""
    host = sharing.by_id(request.host)
    lock = alive.take(container_id, math.inf)
    held.callback(alive.let_go, container_id, lock)
    return Draft(container_id, host, lock)


def finish(begun: Draft, request: Request, *, by_run: bool) -> tuple[Record, tuple[Path, ...]]:
    """Make the container that was begun; return it, and the layers of its image. It stays locked.

    One that is made ``by_run`` is to be started at once: whoever finds it unlocked and never
    started knows that its ``run`` was killed. Raises NotFound, Conflict or InvalidRequest.
    """
    if request.name:
        _check_is_free(check_name(request.name, "container"))
    with steps.phase("find the image"):
        image = images.find(request.image)
    config = options.merge(image.config.get("config") or {}, request)
    one = Record(
        id=begun.id,
        name=request.name,
        created=timestamp(),
        image=request.image,
        image_id=image.id,
        config=replace(config, hostname=config.hostname or _hostname(begun.id, begun.host)),
        host=begun.host,
        endpoints=[_resolved(endpoint) for endpoint in request.endpoints],
        by_run=by_run,
    )
    wanted = [*request.mounts, *volumes.inherited(request.host, request.mounts)]
    layers = image.layers
    mounts = volumes.resolve(wanted, config.volumes, layers, covered=request.host.tmpfs)
    with steps.phase("write the record, claim the name"):
        return _named(replace(one, mounts=mounts)), layers


def make_last(one: Record) -> None:
    """Let a new container, with its name, outlive a power cut. Raises KernelRefused."""
    if one.host.auto_remove:
        return
    folder = record.directory(one.id)
    try:
        for place in (folder / "record.json", folder, folder.parent):
            flush(place)
        names.make_last()
    except OSError as error:
        raise kernel_refused("Cannot write the container to the disk", error) from error


def _check_is_free(name: str) -> None:
    """Raise Conflict if a container has that name; wait for one whose ``run`` was just killed."""
    deadline = time.monotonic() + _DYING
    while holder := names.owner(name):
        sweeping.sweep_these([holder])  # It may be dead, and nobody has looked yet.
        if names.owner(name) == holder:
            if not lifecycle.is_starting(holder) or time.monotonic() > deadline:
                raise names.in_use(name, holder)
            time.sleep(0.01)


def begin_removal(
    one: Record,
    *,
    force: bool = False,
    volumes_too: bool = False,
    delete: ending.Delete = ending.delete_all,
) -> Callable[[], None]:
    """Begin to remove a container; return what does the rest.

    Raises Conflict if it runs, unless it may be killed by ``force``; the rest does if it is being
    started.
    """
    wait = _killed(one, force=force) if alive.is_held(one.id) else None

    def finish() -> None:
        if wait is not None:
            wait()
        if lifecycle.is_removed(one):
            return  # by its monitor, which may hold the lock a little longer: it had --rm
        try:
            lock = alive.take(one.id, alive.SOON)
        except BlockingIOError:
            if lifecycle.is_removed(one):
                return
            why = "it is being started"
            raise Conflict(f"Cannot remove container {one.name}", why) from None
        try:
            ending.discard(one, volumes_too=volumes_too, delete=delete)
        finally:
            os.close(lock)

    return finish


def forget(container_id: str) -> None:
    """Remove what there is of a container that could not be made or started, also its name."""
    try:
        begin_removal(record.load(container_id), force=True, volumes_too=True)()
    except FileNotFoundError:
        shutil.rmtree(record.directory(container_id), ignore_errors=True)  # There is no record.
    except MinirtError:
        pass  # What kept it from starting is what the person needs to hear.


def _killed(one: Record, *, force: bool) -> Callable[[], None]:
    if not force:
        remedy = f"Stop it first (minirt stop {one.name}), or use rm -f."
        why = "it is paused" if lifecycle.is_paused(one) else "it is running"
        raise Conflict(f"Cannot remove container {one.name}", why, remedy)
    _be_the_last_to_have_its_mounts(one)
    return stop.begin_kill(one)


def _be_the_last_to_have_its_mounts(one: Record) -> None:
    """Leave it to the end of this process to take them down."""
    init = lifecycle.init_of(one)
    with suppress(OSError):  # It is dead.
        mounts = ending.open_mounts(one, init[0]) if init else None
        if mounts is not None:
            descriptors.leave(mounts)


def _named(one: Record) -> Record:
    """Write the record, then claim its name, or one that is free. Raises Conflict."""
    if one.name:
        record.save(one, lasting=False)
        names.claim(one.name, one.id)
        return one
    for _ in range(_TRIES):
        chosen = replace(one, name=f"{random.choice(_MOODS)}_{random.choice(_BIRDS)}")
        if _ > _TRIES // 2:
            chosen = replace(one, name=f"{chosen.name}{random.randrange(10**6)}")
        record.save(chosen, lasting=False)
        try:
            names.claim(chosen.name, chosen.id)
        except Conflict:
            continue
        return chosen
    raise Conflict("Found no free name for the container", "", "Give it one with --name.")


def _resolved(request: EndpointRequest) -> EndpointRequest:
    """Find the network of an endpoint. Raises NotFound or InvalidRequest."""
    network = finding.find(request.network)
    if request.address and not network.chosen:
        raise InvalidRequest(
            f"Cannot give address {request.address} on network {network.name}",
            "user specified IP address is supported only when connecting to networks with "
            "user configured subnets",
            "Make the network with --subnet.",
        )
    return replace(request, network_id=network.id, network=network.name)


def _hostname(container_id: str, host: HostConfig) -> str:
    """Return the name of whose name or network it shares: the machine, a container, or itself."""
    for mode in (host.uts_mode, host.network_mode):
        if mode == "host":
            return os.uname().nodename
        if other := sharing.container_of(mode):
            return record.load(other).config.hostname
    return container_id[: lifecycle.SHORT]
