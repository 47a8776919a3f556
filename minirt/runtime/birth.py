"""How init is born: with all that its creator has decided, or before that is known.

A birth takes the kernel a millisecond or two, to copy memory and to make namespaces. So a creator
that has something to do until the plan is ready may have init born at once, by its
namespaces alone; then init waits at the line for the plan, which comes with its descriptors:

    creator                               init
       |  -- "groups", then clone3 --------> |
       |  <--------- "groups" -------------- |    has made its cgroups of version 1
       |  -- "plan", and descriptors ------> |    goes on as if it had been born with it
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext

from minirt.kernel import cgroups, clone, descriptors, namespaces, pages, parcels, steps
from minirt.kernel.cgroups import Cgroup
from minirt.kernel.clone import Child
from minirt.kernel.namespaces import Namespace, Netns
from minirt.kernel.steps import Shell, step
from minirt.runtime import init, joining, launch, user_namespace
from minirt.runtime.handshake import GROUPS, PLAN, CreatorDied, Line
from minirt.runtime.plan import Plan


def give(plan: Plan, line: Line) -> Child:
    """Start init in its namespaces; in those that exist already it steps by itself."""
    spec = plan.spec
    kinds = spec.new_namespaces() & ~Namespace.CGROUP
    if spec.time_offsets:
        kinds &= ~Namespace.TIME  # Whoever is born in it can't set its clocks any more.
    cgroup = plan.setting.cgroup.clone_fd() if plan.setting.cgroup else None
    try:
        with told(kinds):
            if not spec.has_own_ids:
                with _children_born_in(spec.namespaces.get(Namespace.PID, "")):
                    return clone.clone(lambda: init.main(plan, line), kinds, cgroup=cgroup)
            return user_namespace.give_birth(plan, line, kinds, cgroup)
    finally:
        descriptors.close([cgroup])


def give_early(
    kinds: Namespace, cgroup: int | None, line: Line, network: Netns | None = None
) -> Child:
    """Start an init that waits at ``line`` for its plan; ``cgroup`` is as for clone.

    If it is to have a new network namespace it gets ``network``, which is one, if that is given.
    """
    if network is None or Namespace.NET not in kinds:
        return clone.clone(lambda: _wait_and_live(line), kinds, cgroup=cgroup)
    with namespaces.inside(network):
        return clone.clone(lambda: _wait_and_live(line), kinds & ~Namespace.NET, cgroup=cgroup)


def name_groups(cgroup: Cgroup, line: Line) -> None:
    """Say, to who is to be born early, where its groups are.

    It makes those of version 1, and says so.
    """
    with steps.in_the_name_of("init"), cgroup.told(1):
        line.say(GROUPS + cgroups.path_of(cgroup.name).encode())


def told(kinds: Namespace) -> AbstractContextManager[None]:
    """Tell the body as the birth of init."""
    options = [namespaces.option(kind) for kind in Namespace if kind in kinds]
    words = ("unshare", *options, "--fork", "--kill-child", "sleep", "infinity")
    return step("start init in namespaces of its own", *words, Shell("& INIT=$!"))


def numbers_of(plan: Plan) -> list[int]:
    """Return the descriptors that go along with a plan."""
    return sorted(plan.descriptors() | steps.descriptors())


def send(plan: Plan, line: Line) -> None:
    """Give the plan to who waits at the other end, with all that it names by number."""
    numbers = numbers_of(plan)
    note = parcels.pack((plan, steps.pipe()))
    try:
        line.say(PLAN + " ".join(map(str, numbers)).encode(), note, *numbers)
    except (BrokenPipeError, ConnectionResetError):
        pass  # It is dead already; who listens at our end will hear so.
    finally:
        os.close(note)


def receive(line: Line) -> tuple[Plan, Line]:
    """Return the plan, and the line, which may have to make room. Raises CreatorDied."""
    message, fds = line.receive()
    if not message.startswith(PLAN):
        raise CreatorDied
    numbers = [int(word) for word in message.removeprefix(PLAN).split()]
    note, *held = fds
    line = line.moved_above(max([*numbers, *held], default=0))
    plan, story = parcels.unpack(note, numbers, held)
    if story is not None:
        steps.write_to(story)
    return plan, line


def _wait_and_live(line: Line) -> int:
    init.leave_session()
    try:
        _make_groups(line)
        pages.copy(pages.INIT, line.fileno())
        plan, line = receive(line)
    except CreatorDied:
        return 1
    except OSError as error:
        line.report(launch.explained(error))
        return 1
    return init.live(plan, line)


def _make_groups(line: Line) -> None:
    message, _ = line.receive()
    if not message.startswith(GROUPS):
        raise CreatorDied
    cgroups.find(message.removeprefix(GROUPS).decode()).make(1, untold=True)
    line.say(GROUPS)


def _children_born_in(path: str) -> AbstractContextManager[None]:
    """Let the children of the body be born in an existing PID namespace; "": in the own one."""
    if not path:
        return nullcontext()
    return namespaces.children_born_after(lambda: joining.join(Namespace.PID, path))
