from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirt.errors import InvalidRequest
from minirt.kernel import cgroup_mounts
from minirt.kernel.cgroup_mounts import Hierarchy
from minirt.kernel.device_filter import Rule
from minirt.runtime import resources
from minirt.runtime import resources_v1 as v1
from minirt.runtime import resources_v2 as v2
from minirt.runtime.document import Place
from minirt.runtime.resource_settings import Setting

MIB = 1 << 20


def files(read: Callable[[Place], list[Setting]], value: Any) -> list[tuple[str, str]]:
    return [one.choices[0] for one in read(Place(value, "here"))]


@pytest.mark.parametrize("read", [v1.memory, v1.cpu, v1.pids, v1.block_io, v1.cpuset])
@pytest.mark.parametrize("value", [None, {}, {"limit": None}, {"shares": 0, "quota": 0}])
def test_what_is_not_asked_is_not_written(
    read: Callable[[Place], list[Setting]], value: Any
) -> None:
    assert files(read, value) == []


def test_memory_and_swap_are_one_sum_in_version_1_and_two_numbers_in_version_2() -> None:
    asked = {"limit": 64 * MIB, "swap": 100 * MIB, "reservation": 32 * MIB}
    assert files(v1.memory, asked) == [
        ("memory.limit_in_bytes", str(64 * MIB)),
        ("memory.memsw.limit_in_bytes", str(100 * MIB)),
        ("memory.soft_limit_in_bytes", str(32 * MIB)),
    ]
    assert files(v2.memory, asked) == [
        ("memory.max", str(64 * MIB)),
        ("memory.swap.max", str(36 * MIB)),
        ("memory.low", str(32 * MIB)),
    ]


def test_no_limit_is_minus_one_or_max() -> None:
    assert files(v1.memory, {"limit": -1}) == [
        ("memory.memsw.limit_in_bytes", "-1"),
        ("memory.limit_in_bytes", "-1"),
    ]
    assert files(v2.memory, {"limit": 1 * MIB, "swap": -1})[1] == ("memory.swap.max", "max")


def test_processors_in_both_versions() -> None:
    asked = {"shares": 1024, "quota": 50_000, "period": 100_000, "burst": 1000, "cpus": "0-1"}
    assert files(v1.cpu, asked) == [
        ("cpu.shares", "1024"),
        ("cpu.cfs_period_us", "100000"),
        ("cpu.cfs_quota_us", "50000"),
        ("cpu.cfs_burst_us", "1000"),
    ]
    assert files(v2.cpu, asked) == [
        ("cpu.weight", "100"),
        ("cpu.max", "50000 100000"),
        ("cpu.max.burst", "1000"),
    ]
    assert files(v1.cpuset, asked) == [("cpuset.cpus", "0-1")]
    assert files(v2.cpu, {"quota": -1}) == [("cpu.max", "max")]
    assert files(v2.cpu, {"period": 5000}) == [("cpu.max", "max 5000")]


def test_a_zero_that_is_a_value_of_its_own_is_written() -> None:
    asked = {"burst": 0, "idle": 0, "realtimeRuntime": 0, "shares": 0, "quota": 0, "period": 0}
    assert files(v1.cpu, asked) == [
        ("cpu.cfs_burst_us", "0"),
        ("cpu.rt_runtime_us", "0"),
        ("cpu.idle", "0"),
    ]
    assert files(v2.cpu, asked) == [("cpu.max.burst", "0"), ("cpu.idle", "0")]
    assert files(v1.memory, {"disableOOMKiller": False}) == [("memory.oom_control", "0")]
    assert files(v2.memory, {"disableOOMKiller": False}) == []
    for read in (v1.cpu, v2.cpu):
        settings = read(Place({"burst": 0, "idle": 0}, "here"))
        assert all(one.optional for one in settings), "an old kernel has neither"


@given(st.integers(2, 1 << 18), st.integers(2, 1 << 18))
def test_more_shares_are_never_less_weight(one: int, other: int) -> None:
    low, high = (v2.weight_of_shares(shares) for shares in sorted((one, other)))
    assert 1 <= low <= high <= 10_000


def test_the_ends_of_shares_are_the_ends_of_weight() -> None:
    assert [v2.weight_of_shares(one) for one in (2, 1024, 1 << 18)] == [1, 100, 10_000]


def test_pids() -> None:
    assert files(v1.pids, {"limit": 5}) == [("pids.max", "5")]
    assert files(v1.pids, {"limit": 0}) == [("pids.max", "0")]
    assert files(v1.pids, {"limit": -1}) == [("pids.max", "max")]


def test_disks() -> None:
    asked = {
        "weight": 500,
        "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1000}],
        "throttleWriteIOPSDevice": [{"major": 8, "minor": 16, "rate": 5}],
    }
    assert files(v1.block_io, asked) == [
        ("blkio.bfq.weight", "500"),
        ("blkio.throttle.read_bps_device", "8:0 1000"),
        ("blkio.throttle.write_iops_device", "8:16 5"),
    ]
    assert files(v2.block_io, asked) == [
        ("io.bfq.weight", "500"),
        ("io.max", "8:0 rbps=1000"),
        ("io.max", "8:16 wiops=5"),
    ]


@pytest.mark.parametrize(
    ("read", "value", "where"),
    [
        (v1.memory, {"limit": "64m"}, "here.limit is not a whole number"),
        (v1.memory, {"limit": True}, "here.limit"),
        (v1.memory, {"limit": 64 * MIB, "swap": 1 * MIB}, "here.swap"),
        (v2.memory, {"swap": 1 * MIB}, "here.swap"),
        (v2.memory, {"swappiness": 10}, "here.swappiness needs cgroup version 1"),
        (v1.cpuset, {"cpus": "0-1; rm"}, "here.cpus"),
        (v1.hugepages, [{"pageSize": "../2MB", "limit": 1}], "here[0].pageSize"),
        (v1.pids, {"limit": -2}, "here.limit"),
        (v1.memory, [], "here is not an object"),
    ],
)
def test_nonsense_is_refused_with_its_place(
    read: Callable[[Place], list[Setting]], value: Any, where: str
) -> None:
    with pytest.raises(InvalidRequest) as error:
        read(Place(value, "here"))
    assert where in str(error.value)


def test_device_rules_are_read_with_their_wildcards() -> None:
    rules = [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "major": 136, "access": "rw"},
        {"allow": True, "type": "b", "major": -1, "minor": -1},
        {"allow": True, "type": "u", "major": 1, "minor": 3, "access": "m"},
        {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "mwaw"},
    ]
    found = resources.device_rules(Place(rules, "devices"))
    lines = ["a *:* rwm", "c 136:* rw", "b *:* rwm", "c 1:3 m", "c 1:3 wm"]
    assert [str(one) for one in found] == lines
    assert found[3] == Rule(True, "c", 1, 3, "m")


@pytest.mark.parametrize("rule", [{"type": "p"}, {"access": "x"}, {"major": "1"}, {"allow": 1}])
def test_a_device_rule_that_makes_no_sense_is_refused(rule: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match=r"devices\[0\]"):
        resources.device_rules(Place([rule], "devices"))


HYBRID = r"""
23 1 0:2 / /proc rw - proc proc rw
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
33 31 0:30 /docker/1 /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
34 31 0:30 / /somewhere/a\040long\040way rw - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/x,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate
42 31 0:38 / /sys/fs/cgroup/unified/again rw - cgroup2 cgroup2 rw,nsdelegate
""".strip().splitlines()


def test_hierarchies_are_found_once_each_where_their_root_is() -> None:
    assert cgroup_mounts.parse(HYBRID) == [
        Hierarchy(1, frozenset({"cpu", "cpuacct"}), Path("/sys/fs/cgroup/cpu,cpuacct")),
        Hierarchy(1, frozenset({"memory"}), Path("/somewhere/a long way")),
        Hierarchy(1, frozenset({"name=systemd"}), Path("/sys/fs/cgroup/systemd")),
        Hierarchy(2, frozenset(), Path("/sys/fs/cgroup/unified")),
    ]
