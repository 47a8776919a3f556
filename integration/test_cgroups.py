"""Groups of processes with real limits, on whichever versions this machine has."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from integration.sandbox import PATIENCE, started
from minirt.errors import InvalidRequest
from minirt.kernel import (
    cgroup_files,
    cgroup_removal,
    cgroup_signals,
    cgroups,
    clone,
    device_filter,
    processes,
    steps,
)
from minirt.kernel.cgroups import Cgroup
from minirt.kernel.device_filter import Rule
from minirt.runtime import resources
from minirt.runtime.document import Place

MIB = 1 << 20
NULL, ZERO = os.makedev(1, 3), os.makedev(1, 5)


@pytest.fixture
def group() -> Iterator[Cgroup]:
    made = cgroups.make("one")
    yield made
    made.end()


def born_in(group: Cgroup, main: Callable[[], int]) -> int:
    """Run ``main`` in a child in the group; return its PID."""

    def child() -> int:
        group.enter_version_1()
        return main()

    fd = group.clone_fd()
    try:
        return clone.clone(child, cgroup=fd).pid
    finally:
        if fd is not None:
            os.close(fd)


def ended(group: Cgroup, main: Callable[[], int]) -> int:
    return processes.wait(born_in(group, main))


def sleep() -> int:
    signal.pause()
    return 0


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5 * PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


def is_everywhere_in(name: str, pid: int) -> bool:
    groups = [line.split(":", 2)[2] for line in lines_of(f"/proc/{pid}/cgroup")]
    return all(one.endswith(f"{cgroups.base_name()}/{name}") for one in groups)


def lines_of(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def test_who_is_born_in_a_group_is_in_it_everywhere(group: Cgroup) -> None:
    pid = born_in(group, sleep)
    wait_until(lambda: is_everywhere_in("one", pid))
    assert group.pids() == {pid}


@pytest.mark.parametrize("way", ["enter", "add"])
def test_a_process_moves_or_is_moved_out_of_all_other_groups(group: Cgroup, way: str) -> None:
    def child() -> int:
        if way == "enter":
            group.enter()
        return sleep()

    pid = processes.fork(child)
    if way == "add":
        group.add(pid)
    wait_until(lambda: is_everywhere_in("one", pid))
    processes.kill(pid)


def test_what_eats_too_much_memory_is_killed_and_counted(group: Cgroup) -> None:
    resources.apply(group, {"memory": {"limit": 32 * MIB, "swap": 32 * MIB}})
    assert group.stats().memory_limit == 32 * MIB
    assert ended(group, lambda: len(bytearray(16 * MIB)) and 0) == 0
    assert group.oom_kills() == 0
    assert ended(group, lambda: len(bytearray(64 * MIB)) and 0) == 128 + signal.SIGKILL
    assert group.oom_kills() == 1
    peak = group.stats().memory_peak
    assert peak is None or 16 * MIB < peak <= 32 * MIB  # Linux 5.19 has begun to say it


def test_memory_limits_can_grow_and_shrink_again(group: Cgroup) -> None:
    for size in (64, 128, 32, 256):
        resources.apply(group, {"memory": {"limit": size * MIB, "swap": size * MIB}})
        assert group.stats().memory_limit == size * MIB
    resources.apply(group, {"memory": {"limit": -1}})
    assert group.stats().memory_limit is None


def test_a_fork_bomb_is_held_and_dies_at_once(group: Cgroup) -> None:
    resources.apply(group, {"pids": {"limit": 20}})
    assert group.stats().pids_limit == 20

    def bomb() -> int:
        while True:
            try:
                if os.fork() == 0:
                    os.setsid()
            except BlockingIOError as error:
                assert error.errno == errno.EAGAIN
                time.sleep(0.001)

    born_in(group, bomb)
    wait_until(lambda: len(group.pids()) == 20)
    assert group.stats().pids == 20
    resources.apply(group, {"pids": {"limit": 90}})  # The control: it goes as far as it may.
    wait_until(lambda: len(group.pids()) == 90)
    group.kill()
    wait_until(lambda: not group.pids())


def test_where_version_2_cannot_kill_the_frozen_are_signalled_and_thawed(group: Cgroup) -> None:
    freezer = group.folder("freezer")
    if freezer is None:
        pytest.skip("no freezer of version 1")

    def breed() -> int:
        while True:
            if os.fork() == 0:
                os.setsid()
            time.sleep(0.002)

    resources.apply(group, {"pids": {"limit": 50}})
    born_in(group, breed)
    wait_until(lambda: len(group.pids()) > 5)
    cgroup_signals.freeze(freezer.path)
    cgroup_signals.kill(freezer.path, freezer.path)
    assert not cgroup_signals.pids(freezer.path)


def test_a_quota_slows_a_process_down(group: Cgroup) -> None:
    resources.apply(group, {"cpu": {"quota": 10_000, "period": 100_000, "shares": 512}})
    pid = born_in(group, spin)
    wait_until(lambda: (group.stats().cpu or 0) > 20e6)
    before, start = group.stats().cpu or 0, time.monotonic()
    time.sleep(1)  # no condition to wait for: the test is about what happens in a while
    used, passed = (group.stats().cpu or 0) - before, time.monotonic() - start
    os.kill(pid, signal.SIGKILL)
    assert used / 1e9 < 0.3 * passed  # a tenth, and room for a busy machine


def spin() -> int:
    while True:
        pass


def test_a_process_stays_on_the_processors_it_was_given(group: Cgroup) -> None:
    resources.apply(group, {"cpu": {"cpus": "0", "mems": "0"}})

    def child() -> int:
        return 0 if os.sched_getaffinity(0) == {0} else 1

    assert ended(group, child) == 0


def test_frozen_processes_stand_still_and_can_be_killed(group: Cgroup) -> None:
    pid = born_in(group, spin)
    group.freeze()
    stood_at = ticks(pid)
    time.sleep(0.1)
    assert ticks(pid) == stood_at
    group.thaw()
    wait_until(lambda: ticks(pid) > stood_at)
    group.freeze()
    group.kill()
    wait_until(lambda: not group.pids())


def ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])  # utime, stime


def test_groups_made_inside_are_killed_and_removed_too() -> None:
    group = cgroups.make("parent")
    inner = cgroups.make("parent/child/grandchild")
    pid = born_in(inner, sleep)
    wait_until(lambda: is_everywhere_in("parent/child/grandchild", pid))
    assert group.pids() == {pid}
    group.kill()
    group.remove()
    assert not [one.path for one in group.folders if one.path.exists()]
    group.remove()  # again: nothing to do


def test_what_still_lives_is_not_removed(group: Cgroup, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = born_in(group, sleep)
    wait_until(lambda: is_everywhere_in("one", pid))
    monkeypatch.setattr(cgroup_removal, "_PATIENCE", 0.1)
    with pytest.raises(OSError, match="busy"):
        group.remove()


def test_what_still_lives_is_killed_at_the_end(group: Cgroup) -> None:
    pid = born_in(group, sleep)
    wait_until(lambda: is_everywhere_in("one", pid))
    group.end()
    assert not any(one.path.exists() for one in group.folders)
    assert processes.wait(pid) == 128 + signal.SIGKILL
    group.end()  # again: nothing to do


def test_a_group_cannot_be_named_outside() -> None:
    for name in ("../other", "a/../../b", "", "/"):
        with pytest.raises(ValueError, match="names no group"):
            cgroups.find(name)


# ---- devices -----------------------------------------------------------------------------------

DEVICES: list[dict[str, Any]] = [
    {"allow": False, "access": "rwm"},
    {"allow": True, "type": "c", "access": "m"},
    {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
    {"allow": True, "type": "c", "major": 1, "minor": 5, "access": "r"},
    {"allow": True, "type": "c", "major": 1, "minor": 8, "access": "rwm"},
    {"allow": False, "type": "c", "major": 1, "minor": 8, "access": "w"},
]


@pytest.fixture(params=["as limits are set", "by a program"])
def limited(request: pytest.FixtureRequest, group: Cgroup) -> Cgroup:
    """Limit the devices of a group as this machine does it, and by a program for version 2."""
    if request.param == "as limits are set":
        resources.apply(group, {"devices": DEVICES})
        return group
    if group.unified is None:
        pytest.skip("no cgroup version 2")
    device_filter.attach(group.unified, [Rule(allow=True)])  # to be replaced by the next
    device_filter.attach(group.unified, resources.device_rules(Place(DEVICES)))
    return group


@pytest.mark.parametrize(
    ("path", "flags", "works"),
    [
        ("/dev/null", os.O_RDWR, True),
        ("/dev/zero", os.O_RDONLY, True),
        ("/dev/zero", os.O_RDWR, False),
        ("/dev/random", os.O_RDONLY, True),
        ("/dev/random", os.O_WRONLY, False),
        ("/dev/full", os.O_RDONLY, False),
    ],
)
def test_only_what_is_allowed_opens(limited: Cgroup, path: str, flags: int, works: bool) -> None:
    def child() -> int:
        try:
            os.close(os.open(path, flags))
        except PermissionError:
            return 1
        return 0

    assert child() == 0, "it doesn't even work outside"
    assert ended(limited, child) == (0 if works else 1)


def test_nodes_are_made_only_where_that_is_allowed(limited: Cgroup, tmp_path: Path) -> None:
    def child() -> int:
        os.mknod(tmp_path / "char", 0o20600, os.makedev(254, 0))
        try:
            os.mknod(tmp_path / "block", 0o60600, os.makedev(254, 0))
        except PermissionError:
            return 0
        return 1

    assert ended(limited, child) == 0


# ---- what can't be had ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"cpu": {"quota": 5}}, "the kernel doesn't take '5"),
        ({"cpu": {"cpus": "4000"}}, "the kernel doesn't take '4000'"),
        ({"unified": {"memory.nonsense": "1"}}, "memory.nonsense"),
        ({"unified": {"../x": "1"}}, "no file of a cgroup"),
    ],
)
def test_a_limit_that_cannot_be_held_is_refused(
    group: Cgroup, asked: dict[str, Any], why: str
) -> None:
    with pytest.raises(InvalidRequest) as error:
        resources.apply(group, asked)
    assert why in str(error.value)


@pytest.mark.parametrize(
    ("asked", "controller"),
    [
        ({"memory": {"limit": MIB}}, "memory"),
        ({"pids": {"limit": 1}}, "pids"),
        ({"network": {"classID": 7}}, "net_cls"),
    ],
)
def test_a_missing_controller_is_named(
    group: Cgroup, asked: dict[str, Any], controller: str
) -> None:
    without = tuple(one for one in group.folders if controller not in one.hierarchy.controllers)
    with pytest.raises(InvalidRequest, match=f"this machine has no {controller} controller"):
        resources.apply(Cgroup("one", without), asked)


def test_each_write_is_told_with_a_command_that_does_the_same(group: Cgroup) -> None:
    told: list[steps.Step] = []
    steps.send_to(told.append)
    try:
        resources.apply(group, {"pids": {"limit": 7}})
    finally:
        steps.send_to(None)
    command = told[-1].command
    resources.apply(group, {"pids": {"limit": 9}})
    assert os.system(command) == 0
    assert group.stats().pids_limit == 7


def test_a_group_that_goes_away_while_it_is_read_is_an_empty_one(group: Cgroup) -> None:
    folder = group.folders[0].path / "below"
    script = "import os, sys\nfor _ in range(2000): os.mkdir(sys.argv[1]); os.rmdir(sys.argv[1])"
    with started(sys.executable, "-c", script, folder) as making:
        while making.poll() is None:
            assert cgroup_files.read(folder / "cgroup.procs") == ""
        assert making.returncode == 0
