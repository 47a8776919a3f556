"""OCI "create" and "start" (runtime.md, "Lifecycle").

Between the two the container exists in full, and only its command does not run yet.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

from minirt.kernel import clone, descriptors, namespaces, processes
from minirt.kernel.clone import Child
from minirt.kernel.namespaces import Namespace
from minirt.kernel.steps import Shell, step
from minirt.runtime import (
    command,
    filters,
    gate,
    handshake,
    hooks,
    init,
    joining,
    launch,
    mount_sources,
    stripped,
    user_namespace,
)
from minirt.runtime.handshake import GATE, HOOKED, MOUNTED, PREPARED, Line
from minirt.runtime.init import Plan, Setting
from minirt.runtime.spec import Spec

__all__ = ["Created", "Setting", "create", "discard", "leave", "start"]


@dataclass(frozen=True, slots=True)
class Created:
    """A container between create and start. ``console`` is the master of its terminal."""

    pid: int  # as the creating process sees it
    pidfd: int
    console: int | None
    line: Line
    spec: Spec
    setting: Setting


def create(spec: Spec, setting: Setting, on_isolated: Callable[[int], None]) -> Created:
    """Bring a container to the point where only its command is missing.

    ``on_isolated`` gets a descriptor of init (pidfd_open(2)) as soon as its namespaces exist,
    and runs while init mounts its root. Raises CommandNotFound, CommandNotRunnable,
    InvalidRequest, KernelRefused; then nothing is left but what ``on_isolated`` has done.
    """
    handed_on = stripped.to_hand_on(setting.keep_fds)
    rules = filters.prepare(spec.seccomp)
    ours, theirs = handshake.open_pair()
    held = gate.hold(setting.gate) if setting.gate else None
    plan = Plan(spec, setting, theirs, handed_on, rules, held)
    try:
        child = _give_birth(plan)
    except BaseException:
        ours.close()
        descriptors.close([] if held is None else [held])
        raise
    finally:
        theirs.close()
        rules.close()
    created = Created(child.pid, child.pidfd, None, ours, spec, setting)
    try:
        if spec.has_own_ids:
            user_namespace.settle(plan, child.pidfd)
        on_isolated(child.pidfd)
        if mount_sources.outside(spec):
            user_namespace.outfit(plan, child.pidfd, ours)
        if spec.hooks.prestart or spec.hooks.create_runtime:
            ours.hear(MOUNTED)
            state = _state(created, "creating")
            hooks.run("prestart", spec.hooks.prestart, state)
            hooks.run("createRuntime", spec.hooks.create_runtime, state)
            ours.say(HOOKED)
        console = ours.hear(PREPARED)
        if spec.has_own_ids:
            launch.set_limits(spec.process, child.pid)
    except BaseException:
        discard(created)
        raise
    finally:
        descriptors.close([] if held is None else [held])
    return replace(created, console=console[0] if console else None)


def start(created: Created) -> None:
    """Let the command run; return when it does. Raises what kept it from doing so.

    The caller owns ``pidfd`` and ``console`` from then on, and waits with waitid(2).
    """
    try:
        created.line.go()
    except OSError as error:
        raise command.refused(created.spec.process.args[0], error) from error
    created.line.close()
    hooks.run("poststart", created.spec.hooks.poststart, _state(created, "running"))


def leave(created: Created) -> None:
    """Let init wait at the gate that it was given (``gate.open_for``), and go one's way.

    Until then it would die with the calling process. The caller still owns ``pidfd``.
    """
    created.line.say(GATE)
    created.line.close()


def discard(created: Created) -> None:
    """Kill init, and with it every process of its PID namespace; collect what it leaves."""
    created.line.close()
    processes.kill_by_pidfd(created.pidfd)
    if created.console is not None:
        os.close(created.console)


def _give_birth(plan: Plan) -> Child:
    """Start init in its namespaces; in those that exist already it steps by itself."""
    spec = plan.spec
    kinds = spec.new_namespaces() & ~Namespace.CGROUP
    if spec.time_offsets:
        kinds &= ~Namespace.TIME  # Whoever is born in it can't set its clocks any more.
    cgroup = plan.setting.cgroup.clone_fd() if plan.setting.cgroup else None
    options = [namespaces.option(kind) for kind in Namespace if kind in kinds]
    words = ("unshare", *options, "--fork", "--kill-child", "sleep", "infinity")
    try:
        with step("start init in namespaces of its own", *words, Shell("& INIT=$!")):
            if not spec.has_own_ids:
                with _children_born_in(spec.namespaces.get(Namespace.PID, "")):
                    return clone.clone(lambda: init.main(plan), kinds, cgroup=cgroup)
            with user_namespace.born_in(plan.setting.bundle):
                return user_namespace.give_birth(plan, kinds, cgroup)
    finally:
        if cgroup is not None:
            os.close(cgroup)


def _children_born_in(path: str) -> AbstractContextManager[None]:
    """Let the children of the body be born in an existing PID namespace; "": in the own one."""
    if not path:
        return nullcontext()
    return namespaces.children_born_after(lambda: joining.join(Namespace.PID, path))


def _state(created: Created, status: str) -> hooks.State:
    setting = created.setting
    pid = processes.pid_as_seen_from_proc(created.pidfd)
    identifier = setting.id or setting.bundle.name
    return hooks.State(identifier, status, pid, setting.bundle, created.spec.annotations)
