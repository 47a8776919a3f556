"""PID 1 of the container, from its birth to its execve.

The order matters: first leave behind what is the host's, then build the root, then enter it,
and only then stop being minirt. Each step needs what the next one takes away.
"""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from functools import partial

from minirt.errors import MinirtError
from minirt.kernel import (
    keyrings,
    loopback,
    mounts,
    namespaces,
    pages,
    processes,
    terminals,
    user_namespaces,
)
from minirt.kernel.beneath import Shown
from minirt.kernel.cgroups import Cgroup
from minirt.kernel.namespaces import Namespace
from minirt.kernel.steps import speak_as, step
from minirt.runtime import (
    command,
    dev,
    gate,
    hooks,
    joining,
    launch,
    mount_sources,
    mount_table,
    rootfs,
    shared_mounts,
    standard_streams,
    stripped,
    sysctls,
)
from minirt.runtime.handshake import (
    GATE,
    GO,
    HOOKED,
    MOUNTED,
    OUTFITTED,
    PREPARED,
    CreatorDied,
    Line,
)
from minirt.runtime.mount_sources import Copier
from minirt.runtime.plan import Plan
from minirt.runtime.spec import Process, Spec


def main(plan: Plan, line: Line) -> int:
    """Become the command. Returns only if that failed, after a report to ``line``."""
    leave_session()
    return live(plan, line)


def leave_session() -> None:
    """Have a session of one's own; after that the scheduler lets others run (sched(7), autogroup).

    So who waits for its plan does it before that comes.
    """
    os.setsid()


def live(plan: Plan, line: Line) -> int:
    """Do what :func:`main` does, in a session of one's own already."""
    speak_as("init")
    plan.inherited.take()
    out: Line | gate.Answer = line
    try:
        process, path, own_descriptors = _prepare(plan, line)
        wait = None
        if plan.gate is None and not plan.spec.hooks.start_container:
            # To stop being Python takes milliseconds: better while the word is waited for.
            os.close(own_descriptors)
            wait = partial(line.await_word, GO)
        else:
            out = _await_start(plan, line, own_descriptors)
        hooks.run_inside(plan.spec.hooks.start_container, _state(plan, "created"), process.env)
        launch.set_scheduling(process, plan.spec.personality, plan.spec.memory_policy)
        if not plan.spec.has_own_ids:  # Else its creator has: to raise them takes the host's root.
            launch.set_limits(process)
        launch.become(process, path, plan.filters, out.fileno(), wait)
    except CreatorDied:
        pass
    except BaseException as error:  # It can't go up: this process has no callers any more.
        out.report(launch.explained(error))
    return 1


def _prepare(plan: Plan, line: Line) -> tuple[Process, str, int]:
    """Do all but become the command; return it, its path, and the folder of descriptors."""
    spec, setting = plan.spec, plan.setting
    kept = plan.descriptors() - set(setting.stdio or ())
    stripped.strip(setting.stdio, {line.fileno(), *kept})
    for fd in plan.handed_on:
        os.set_inheritable(fd, True)
    own_descriptors = terminals.open_descriptors()
    if plan.filters.agent:
        pid = processes.own_pid_as_seen_from_proc()
        plan.filters.agent.introduce(pid, replace(_state(plan, "creating"), pid=pid))
    given = _await_outfit(plan, line)
    if not spec.has_own_ids:
        launch.set_oom_score(spec.process)
        launch.raise_limits(spec.process)
    _enter_namespaces(spec, setting.cgroup)
    place = rootfs.place_for(setting.bundle / spec.root.path) if spec.has_own_ids else None
    _set_parameters(spec)
    launch.label_keys(spec.process)
    keyrings.leave_session_keyring()
    process, console = _build_root(plan, line, own_descriptors, given, place)
    launch.enter_cwd(process.cwd)
    path = command.find(process.args[0], process.env)
    line.say(PREPARED, *console)
    for fd in console:
        os.close(fd)
    return process, path, own_descriptors


def _await_outfit(plan: Plan, line: Line) -> dict[int, int]:
    """Take what was made outside, by its keys in ``mount_sources``; usually that is nothing."""
    keys = mount_sources.outside(plan.spec)
    made: list[int] = []
    try:
        line.collect(OUTFITTED, len(keys), made)
    except MinirtError:
        raise CreatorDied from None
    return dict(zip(keys, made, strict=True))


def _await_start(plan: Plan, line: Line, own_descriptors: int) -> Line | gate.Answer:
    """Wait for the word, or at the gate; return where to say what goes wrong from here on."""
    if plan.gate is None:
        os.close(own_descriptors)
        line.await_word(GO)
        return line
    word = line.await_word(GO, GATE)
    os.close(own_descriptors)
    if word == GO:
        os.close(plan.gate)
        return line
    line.close()
    return gate.wait(plan.gate)


def _enter_namespaces(spec: Spec, cgroup: Cgroup | None) -> None:
    """Join those that exist, name those that are new; the cgroup's only from inside the cgroup."""
    for kind, path in spec.namespaces.items():
        if kind in (Namespace.PID, Namespace.MOUNT):
            continue  # Init was born in the one, and enters the other when it builds its root.
        if path and not spec.has_own_ids:  # Else init was born there.
            joining.join(kind, path)
    if cgroup:
        cgroup.enter_version_1()
    if spec.time_offsets:
        namespaces.unshare(Namespace.TIME)
        namespaces.set_time_offsets(spec.time_offsets)
    if Namespace.CGROUP in spec.new_namespaces():
        namespaces.unshare(Namespace.CGROUP)
    if Namespace.NET in spec.new_namespaces():
        loopback.set_up_here()
    if spec.hostname:
        with step("name the machine", "hostname", spec.hostname):
            socket.sethostname(spec.hostname)
    if spec.domainname:
        sysctls.write({"kernel.domainname": spec.domainname})


def _set_parameters(spec: Spec) -> None:
    """Set the kernel parameters, and become root of the user namespace if there is one.

    Of those of System V and of message queues Linux before 6.9 thinks that they are the host's
    root's, and later ones that they are this namespace's root's.
    """
    left = spec.sysctl
    if spec.has_own_ids:
        left = sysctls.write_permitted(spec.sysctl)
        user_namespaces.become_root(keeps_groups=spec.process.user.keeps_groups)
    sysctls.write(left)


def _build_root(
    plan: Plan, line: Line, own_descriptors: int, given: dict[int, int], onto: int | None
) -> tuple[Process, tuple[int, ...]]:
    """Put the root together and enter it; return the process with its user, and its console.

    ``given`` is what was made outside, and ``onto`` where the root goes if it was.
    """
    spec, setting = plan.spec, plan.setting
    place = setting.bundle / spec.root.path
    home = shared_mounts.leave(spec, place) if spec.shares_mounts else None
    mounts.hide_from_parent()
    host = home.path if home else mount_sources.parents_namespace
    copy = Copier(setting.bundle, host, setting.shm_of)
    if onto is None:
        root = rootfs.open_root(place, setting.overlay)
    else:
        root = given[mount_sources.ROOT]
        with step("attach the root that was made outside", "mount", "--move", place, Shown(onto)):
            mounts.attach(root, onto)
        os.close(onto)
    mounted = mount_table.mount_all(root, spec.mounts, copy, given)
    process = launch.as_user(spec.process, root, setting.user, setting.groups)
    has_own_dev = dev.is_own(spec.mounts) and not mounted.covers("/dev")
    if has_own_dev:
        made = mount_sources.devices_made_outside(spec)
        nodes = {one.path: given[key] for key, one in made.items()}
        dev.fill(root, spec.devices, nodes, mounted.lead_astray)
    console: tuple[int, ...] = ()
    if process.terminal:
        console = (dev.take_console(root, process, own_descriptors, shown=has_own_dev),)
    else:
        standard_streams.use_own_devices(root, own_descriptors)
    _run_hooks(plan, line, root)
    rootfs.make_cwd(root, process.cwd)
    mount_table.make_readonly(mounted.writable)
    rootfs.set_readonly(root, spec.readonly_paths)
    rootfs.mask(root, spec.masked_paths, spec.mount_label, has_own_dev=has_own_dev)
    if spec.root.readonly:
        rootfs.set_root_readonly(root)
    pages.learn(pages.INIT)  # as long as /proc is the host's
    if home is None:
        mounts.pivot(root, place, spec.rootfs_propagation)
    else:
        identifier = setting.id or setting.bundle.name
        shared_mounts.come_back(home, root, identifier, spec.rootfs_propagation)
    os.close(root)
    return process, console


def _run_hooks(plan: Plan, line: Line, root: int) -> None:
    """Let the creator run its hooks, then run those that belong in these namespaces."""
    wanted = plan.spec.hooks
    if wanted.prestart or wanted.create_runtime:
        line.say(MOUNTED)
        line.await_word(HOOKED)
    hooks.run("createContainer", wanted.create_container, _state(plan, "creating"), root)


def _state(plan: Plan, status: str) -> hooks.State:
    bundle = plan.setting.bundle
    identifier = plan.setting.id or bundle.name
    return hooks.State(identifier, status, os.getpid(), bundle, plan.spec.annotations)
