"""OCI "create" and "start" (runtime.md, "Lifecycle").

Between the two the container exists in full, and only its command does not run yet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from minirt.errors import MinirtError
from minirt.kernel import descriptors, processes
from minirt.kernel.clone import Child
from minirt.runtime import (
    birth,
    command,
    filters,
    gate,
    handshake,
    hooks,
    launch,
    mount_sources,
    stripped,
    user_namespace,
)
from minirt.runtime.handshake import GATE, HOOKED, MOUNTED, PREPARED, Line
from minirt.runtime.plan import Plan, Setting
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


Bear = Callable[[Plan], tuple[Child, Line]]


def bear_here(plan: Plan) -> tuple[Child, Line]:
    """Start init as a child of this process; return it, and the line to it."""
    ours, theirs = handshake.open_pair()
    try:
        return birth.give(plan, theirs), ours
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()


def create(
    spec: Spec, setting: Setting, on_isolated: Callable[[Child], None], bear: Bear = bear_here
) -> Created:
    """Bring a container to the point where only its command is missing.

    ``on_isolated`` gets init as soon as its namespaces exist, and runs while init mounts its root.
    ``bear`` has another process be init's parent. Raises
    CommandNotFound, CommandNotRunnable, InvalidRequest, KernelRefused; then nothing is left but
    what ``on_isolated`` has done.
    """
    handed_on = stripped.to_hand_on(setting.keep_fds)
    rules = filters.prepare(spec.seccomp)
    held = gate.make(setting.gate) if setting.gate else None
    # What the program was compiled from is long, and init has no use for it.
    plan = Plan(replace(spec, seccomp=None), setting, handed_on, rules, held)
    try:
        child, line = bear(plan)
    except BaseException:
        descriptors.close([held])
        raise
    finally:
        rules.close()
    created = Created(child.pid, child.pidfd, None, line, spec, setting)
    try:
        console = _bring_up(created, plan, on_isolated)
    except BaseException:
        discard(created)
        raise
    finally:
        descriptors.close([held])
    return replace(created, console=console[0] if console else None)


def _bring_up(created: Created, plan: Plan, on_isolated: Callable[[Child], None]) -> list[int]:
    """Do what init can't, until it has prepared all; return its console, if it has one."""
    spec, line = created.spec, created.line
    if spec.has_own_ids:
        user_namespace.settle(plan, created.pidfd)
    try:
        on_isolated(Child(created.pid, created.pidfd))
    except (MinirtError, OSError) as error:
        if met := line.complaint():
            raise met from error  # The cause: who is dead can't be wired either.
        raise
    if mount_sources.outside(spec):
        user_namespace.outfit(plan, created.pidfd, line)
    if spec.hooks.prestart or spec.hooks.create_runtime:
        line.hear(MOUNTED)
        state = _state(created, "creating")
        hooks.run("prestart", spec.hooks.prestart, state)
        hooks.run("createRuntime", spec.hooks.create_runtime, state)
        line.say(HOOKED)
    console = line.hear(PREPARED)
    if spec.has_own_ids:
        launch.set_limits(spec.process, created.pid)
    return console


def start(created: Created, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Let the command run; return when it does. Raises what kept it from doing so.

    ``meanwhile`` is called when init was told, and becomes the command. The caller owns ``pidfd``
    and ``console`` afterwards, and waits with waitid(2).
    """
    try:
        created.line.go(meanwhile)
    except OSError as error:
        raise command.refused(created.spec.process.args[0], error) from error
    created.line.close()
    if created.spec.hooks.poststart:
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
    descriptors.close([created.console])


def _state(created: Created, status: str) -> hooks.State:
    setting = created.setting
    pid = processes.pid_as_seen_from_proc(created.pidfd)
    identifier = setting.id or setting.bundle.name
    return hooks.State(identifier, status, pid, setting.bundle, created.spec.annotations)
