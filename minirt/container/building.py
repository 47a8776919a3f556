"""How the command builds a container, with the hands of others (monitor.py, runtime/init.py).

Everything that it takes goes onto a stack of what to give back. So whatever goes wrong, up to
the moment at which the monitor holds all of it, nothing stays.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from minirt.container import alive, birth, life, record, sharing
from minirt.container.birth import Monitor, Newborn
from minirt.container.holdings import Holdings
from minirt.container.life import Life, Streams
from minirt.container.log_writer import timestamp
from minirt.container.record import HostConfig, LastRun, Record
from minirt.errors import MinirtError
from minirt.kernel import cgroups, descriptors, processes, steps
from minirt.kernel.cgroups import Cgroup
from minirt.kernel.clone import Child
from minirt.kernel.namespaces import Namespace
from minirt.runtime import create, resources, standard_streams
from minirt.runtime.create import Created, Setting
from minirt.runtime.handshake import Line
from minirt.runtime.plan import Plan as InitPlan
from minirt.runtime.rootfs import Overlay
from minirt.runtime.spec import Spec
from minirt.state import write_json

Wire = Callable[[Child, int], None]


@dataclass(slots=True)
class Site:
    """What there is of a container before anything is decided."""

    monitor: Monitor
    cgroup: Cgroup
    newborn: Newborn | None = None  # None: its init can't be born before its plan is ready


@dataclass(frozen=True, slots=True)
class Plan:
    """All that has been decided."""

    record: Record
    document: dict[str, Any]  # its config.json
    spec: Spec
    overlay: Overlay
    holdings: Holdings
    # Of streams 1 and 2, the writers of pipes that the operator's command reads itself.
    own_outputs: dict[int, int] = field(default_factory=dict)


def begin(container_id: str, host: HostConfig, held: ExitStack) -> Site:
    """Have the monitor and, if that can be, init born; ``held`` takes all back.

    There needs not be a record yet. The cgroup has the container's id, so that it is found if
    this process is killed.
    """
    cgroup = cgroups.find(record.cgroup_name(container_id, host))
    held.callback(cgroup.end)
    cgroup.make(2)
    monitor = birth.take(host)
    held.callback(birth.dismiss, monitor)
    site = Site(monitor, cgroup)
    held.callback(_forget_newborn, site)
    kinds = sharing.new_for(host)
    if kinds is None:
        cgroup.make(1)
    else:  # Then init makes these itself.
        site.newborn = birth.bear_early(site.monitor, kinds, site.cgroup)
    return site


def _forget_newborn(site: Site) -> None:
    if site.newborn:
        site.newborn.line.close()
        with suppress(MinirtError):  # It could not be born.
            processes.kill_by_pidfd(birth.born(site.monitor, site.newborn).pidfd)


def build(site: Site, plan: Plan, wire: Wire, held: ExitStack) -> tuple[Created, Life]:
    """Build the container, all but its command; return it, and what the monitor is to hold.

    ``wire`` gets init and when it was born, and connects it to networks, while it mounts its root.
    Raises what :func:`create.create` does.
    """
    streams, given = _open_streams(plan.record, plan.own_outputs)
    held.callback(descriptors.close, streams.descriptors())
    ready: list[Life] = []

    def on_isolated(init: Child) -> None:
        resources.apply_amounts(site.cgroup, plan.spec.resources)  # for the command, yet to come
        wire(init, _put_on_record(site, plan, init))
        ready.append(life.prepare(plan.record, plan.holdings, init, streams, held))

    created = _create(site, plan, given, on_isolated)
    held.callback(create.discard, created)
    return created, replace(ready[0], streams=replace(streams, console=created.console))


def let_run(created: Created, one: Record, meanwhile: Callable[[], None]) -> None:
    """Let the command run; return when it does. Raises what :func:`create.start` does.

    ``meanwhile`` is called when init has been told: it takes milliseconds to become the command.
    """
    with steps.phase("open the gate, wait for execve"):
        create.start(created, meanwhile)
    record.save_last(one.id, LastRun(started=timestamp()))


def _put_on_record(site: Site, plan: Plan, init: Child) -> int:
    """Write down what the container is, for those who look at it; return when init was born."""
    place = record.directory(plan.record.id) / "config.json"
    write_json(place, plan.document, durable=False, levels=2)
    born, own = processes.start_time(init.pid), site.monitor.pid
    state = {"pid": init.pid, "born": born}
    alive.say(plan.record.id, state | {"monitor": own, "monitor_born": processes.start_time(own)})
    return born


def _create(
    site: Site, plan: Plan, given: tuple[int, int, int] | None, on_isolated: Callable[[Child], None]
) -> Created:
    one = plan.record

    def bear(inits: InitPlan) -> tuple[Child, Line]:
        newborn, site.newborn = site.newborn, None
        return birth.bear(
            site.monitor,
            newborn,
            inits,
            lambda: resources.apply_devices(site.cgroup, plan.spec.resources),
        )

    setting = Setting(
        bundle=record.directory(one.id),
        stdio=given,
        overlay=plan.overlay,
        cgroup=site.cgroup,
        user=one.config.user,
        groups=tuple(one.host.group_add),
        shm_of=_namespace_of_shm(plan),
    )
    try:
        if given is None:  # A terminal of its own will be its streams.
            return create.create(plan.spec, setting, on_isolated, bear)
        with standard_streams.protected(given) as streams:
            return create.create(plan.spec, replace(setting, stdio=streams), on_isolated, bear)
    finally:
        descriptors.close(given or ())


def _namespace_of_shm(plan: Plan) -> str:
    """Return the mount namespace of whom it shares /dev/shm with; "" if that is its own."""
    path = plan.spec.namespaces.get(Namespace.IPC, "")
    return f"{path.removesuffix('ipc')}mnt" if path else ""


def _open_streams(
    one: Record, own_outputs: Mapping[int, int]
) -> tuple[Streams, tuple[int, int, int] | None]:
    """Open the command's standard streams: our ends, and those that it gets."""
    if one.config.tty:
        return Streams(), None
    into, given = None, os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    if one.config.open_stdin:
        os.close(given)
        given, into = os.pipe()
    out, err = (
        (None, os.dup(own_outputs[fd])) if fd in own_outputs else os.pipe() for fd in (1, 2)
    )
    return Streams(into, out[0], err[0]), (given, out[1], err[1])
