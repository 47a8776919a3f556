"""Groups of processes with real limits, on whichever versions this machine has."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from integration.groups import born_in, ended, group
from integration.sandbox import started, wait_until
from minirt.kernel import cgroup_files, cgroup_removal, cgroup_signals, cgroups, processes
from minirt.kernel.cgroups import Cgroup
from minirt.runtime import resources

__all__ = ["group"]  # fixtures

MIB = 1 << 20


def sleep() -> int:
    signal.pause()
    return 0


def is_everywhere_in(name: str, pid: int) -> bool:
    groups = [line.split(":", 2)[2] for line in lines_of(f"/proc/{pid}/cgroup")]
    return all(one.endswith(f"{cgroups.base_name()}/{name}") for one in groups)


def lines_of(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def test_who_is_born_in_a_group_is_in_it_everywhere(group: Cgroup) -> None:
    pid = born_in(group, sleep)
    wait_until(lambda: is_everywhere_in("one", pid), seconds=5)
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
    wait_until(lambda: is_everywhere_in("one", pid), seconds=5)
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
    wait_until(lambda: len(group.pids()) == 20, seconds=5)
    assert group.stats().pids == 20
    resources.apply(group, {"pids": {"limit": 90}})  # The control: it goes as far as it may.
    wait_until(lambda: len(group.pids()) == 90, seconds=5)
    group.kill()
    wait_until(lambda: not group.pids(), seconds=5)


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
    wait_until(lambda: len(group.pids()) > 5, seconds=5)
    cgroup_signals.freeze(freezer.path)
    cgroup_signals.kill(freezer.path, freezer.path)
    assert not cgroup_signals.pids(freezer.path)


def test_a_quota_slows_a_process_down(group: Cgroup) -> None:
    resources.apply(group, {"cpu": {"quota": 10_000, "period": 100_000, "shares": 512}})
    pid = born_in(group, spin)
    wait_until(lambda: (group.stats().cpu or 0) > 20e6, seconds=5)
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
    wait_until(lambda: ticks(pid) > stood_at, seconds=5)
    group.freeze()
    group.kill()
    wait_until(lambda: not group.pids(), seconds=5)


def ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])  # utime, stime


def test_groups_made_inside_are_killed_and_removed_too() -> None:
    group = cgroups.make("parent")
    inner = cgroups.make("parent/child/grandchild")
    pid = born_in(inner, sleep)
    wait_until(lambda: is_everywhere_in("parent/child/grandchild", pid), seconds=5)
    assert group.pids() == {pid}
    group.kill()
    group.remove()
    assert not [one.path for one in group.folders if one.path.exists()]
    group.remove()  # again: nothing to do


def test_what_still_lives_is_not_removed(group: Cgroup, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = born_in(group, sleep)
    wait_until(lambda: is_everywhere_in("one", pid), seconds=5)
    monkeypatch.setattr(cgroup_removal, "_PATIENCE", 0.1)
    with pytest.raises(OSError, match="busy"):
        group.remove()


def test_what_still_lives_is_killed_at_the_end(group: Cgroup) -> None:
    pid = born_in(group, sleep)
    wait_until(lambda: is_everywhere_in("one", pid), seconds=5)
    group.end()
    assert not any(one.path.exists() for one in group.folders)
    assert processes.wait(pid) == 128 + signal.SIGKILL
    group.end()  # again: nothing to do


def test_a_group_cannot_be_named_outside() -> None:
    for name in ("../other", "a/../../b", "", "/"):
        with pytest.raises(ValueError, match="names no group"):
            cgroups.find(name)


def test_a_group_that_goes_away_while_it_is_read_is_an_empty_one(group: Cgroup) -> None:
    folder = group.folders[0].path / "below"
    script = "import os, sys\nfor _ in range(2000): os.mkdir(sys.argv[1]); os.rmdir(sys.argv[1])"
    with started(sys.executable, "-c", script, folder) as making:
        while making.poll() is None:
            assert cgroup_files.read(folder / "cgroup.procs") == ""
        assert making.returncode == 0
