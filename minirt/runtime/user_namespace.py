"""A container with ids of its own: what its creator does for it (config-linux.md, "Namespaces").

    creator                               init
       |  ------- clone3, NEWUSER ----------> |   every capability inside, no id, and still
       |  (writes the maps,                   |   the host's root to files of the host
       |   gives it its streams and groups)   |
       |  --- clone ---> outfitter            |
       |  <-- mounts --- makes what init can't (``mount_sources``)
       |  ---- "outfitted", and mounts -----> |   enters groups, sets parameters,
       |                                      |   becomes root inside, and builds its root

The order is the kernel's. All other namespaces must be made inside the user namespace, or its
root has no say in them; so it is first, or at once with them. Groups, the machine's name and some
parameters want the host's root, so they come before init takes an id. Files, terminals and
keyrings come after it, since they are to belong to the root inside.
"""

from __future__ import annotations

import os

from minirt.errors import InvalidRequest, kernel_refused
from minirt.kernel import clone, processes, user_namespaces
from minirt.kernel.clone import Child
from minirt.kernel.namespaces import Namespace
from minirt.kernel.steps import speak_as
from minirt.kernel.user_namespaces import Ids
from minirt.runtime import handshake, joining, launch, mount_sources
from minirt.runtime.handshake import BORN, OUTFITTED, Line
from minirt.runtime.init import main
from minirt.runtime.plan import Plan

_DELEGATED = ("cgroup.procs", "cgroup.threads", "cgroup.subtree_control")  # cgroups(7)
_AT_ONCE = 250  # descriptors in one message: SCM_MAX_FD is 253


def give_birth(plan: Plan, line: Line, kinds: Namespace, cgroup: int | None) -> Child:
    """Start init; where some of its namespaces exist, by a process that goes ahead into them.

    That one may enter what belongs to others, as the host's root; init is its sibling.
    """
    if not any(plan.spec.namespaces.values()):
        return clone.clone(lambda: main(plan, line), kinds, cgroup=cgroup)
    ours, theirs = handshake.open_pair()
    guide = clone.clone(lambda: _go_ahead(plan, line, kinds, cgroup, theirs))
    theirs.close()
    try:
        return _hear_of_birth(ours)
    finally:
        ours.close()
        _collect(guide)


def _hear_of_birth(line: Line) -> Child:
    message, descriptors = line.receive()
    if not message.startswith(BORN):
        raise handshake.received(message)
    return Child(int(message.removeprefix(BORN)), descriptors[0])


def _go_ahead(plan: Plan, inits: Line, kinds: Namespace, cgroup: int | None, line: Line) -> int:
    try:
        joining.join_all(plan.spec)
        child = clone.clone(lambda: main(plan, inits), kinds, cgroup=cgroup, as_sibling=True)
    except BaseException as error:
        line.report(launch.explained(error))
        return 1
    line.say(BORN + str(child.pid).encode(), child.pidfd)
    return 0


def settle(plan: Plan, pidfd: int) -> None:
    """Give init, born a moment ago, its ids, and what it could not take itself any more.

    Raises InvalidRequest, KernelRefused.
    """
    spec, pid = plan.spec, processes.pid_as_seen_from_proc(pidfd)
    launch.set_oom_score(spec.process, pid)
    if not spec.namespaces[Namespace.USER]:
        try:
            user_namespaces.write_maps(pid, spec.uid_mappings, spec.gid_mappings)
        except OSError as error:
            raise kernel_refused("Cannot map the ids of the container", error) from error
    root = user_namespaces.root_of(pid)
    if root is None:
        path = spec.namespaces[Namespace.USER]
        raise InvalidRequest(f"Cannot start a container in {path}", "it maps no root")
    launch.give_stdio(plan.setting.stdio or (0, 1, 2), *root)
    if plan.setting.cgroup and _may_manage_group(plan):
        _give_group(plan, *root)


def _may_manage_group(plan: Plan) -> bool:
    """Say whether the container sees its own group of version 2, and may write there."""
    shown = [one for one in plan.spec.mounts if one.kind == "cgroup"]
    writable = any("ro" not in one.options for one in shown)
    return writable and Namespace.CGROUP in plan.spec.new_namespaces()


def _give_group(plan: Plan, uid: int, gid: int) -> None:
    """Let the root inside make groups below its own, cgroups(7), "Delegating"."""
    folder = plan.setting.cgroup.unified if plan.setting.cgroup else None
    for path in [folder, *(folder / name for name in _DELEGATED)] if folder else []:
        os.chown(path, uid, gid)


def outfit(plan: Plan, pidfd: int, line: Line) -> None:
    """Have all made that init can't make itself, and hand it over ``line``.

    Raises InvalidRequest, KernelRefused.
    """
    count = len(mount_sources.outside(plan.spec))
    ours, theirs = handshake.open_pair()
    outfitter = clone.clone(lambda: _be_outfitter(plan, pidfd, theirs), Namespace.MOUNT)
    theirs.close()
    made: list[int] = []
    try:
        ours.collect(OUTFITTED, count, made)
        _hand_over(line, made)
    finally:
        for fd in made:
            os.close(fd)
        ours.close()
        _collect(outfitter)


def _be_outfitter(plan: Plan, pidfd: int, line: Line) -> int:
    speak_as("outfitter")
    spec, setting = plan.spec, plan.setting
    try:
        ids = Ids.of(processes.pid_as_seen_from_proc(pidfd)) if spec.has_own_ids else None
        _hand_over(
            line, mount_sources.make(spec, setting.bundle, setting.overlay, ids, setting.shm_of)
        )
    except BaseException as error:
        line.report(launch.explained(error))
        return 1
    return 0


def _hand_over(line: Line, made: list[int]) -> None:
    try:
        for first in range(0, len(made), _AT_ONCE):
            line.say(OUTFITTED, *made[first : first + _AT_ONCE])
    except (BrokenPipeError, ConnectionResetError):
        pass  # Init is dead already; its last packet says why.


def _collect(child: Child) -> None:
    os.waitid(os.P_PIDFD, child.pidfd, os.WEXITED)
    os.close(child.pidfd)
