"""What config-linux.md allows to limit: in the files of the container's cgroup, or refused."""

from __future__ import annotations

import contextlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from integration import oci
from integration.oci import Oci
from integration.sandbox import (
    cgroup_roots,
    controllers,
    is_cgroup2_only,
    needs_controller,
    started,
    wait_until,
)
from integration.traces import Ground
from minirt.kernel import cgroups


@pytest.fixture
def one(ground: Ground, rootfs: Path) -> Oci:
    return oci.make(ground.root / "oci", rootfs)


needs_realtime_budgets = pytest.mark.skipif(
    not any((root / "cpu.rt_runtime_us").exists() for root in cgroup_roots()),
    reason="this kernel has no realtime budgets of cgroups",
)


def cpu_folder() -> Path:
    """Return where the hierarchy with realtime budgets is mounted."""
    return next(root for root in cgroup_roots() if (root / "cpu.rt_runtime_us").exists())


def disk() -> str:
    """Return the numbers of a block device of this machine: major:minor."""
    files = sorted(Path("/sys/block").glob("*/dev"), reverse=True)
    real = [one for one in files if not one.parent.name.startswith(("loop", "ram", "zram"))]
    return (real or files)[0].read_text().strip()


def numbers() -> dict[str, int]:
    major, _, minor = disk().partition(":")
    return {"major": int(major), "minor": int(minor)}


def value_of(ground: Ground, name: str, file: str) -> str | None:
    """Return what a file of the container's group says; None if this machine has no such file."""
    for root in cgroup_roots():
        with contextlib.suppress(FileNotFoundError):
            return (root / ground.cgroup / name / file).read_text().strip()
    return None


def used(one: Oci) -> int:
    stats = json.loads(one("events", "--stats", "a").stdout)
    return int(stats["data"]["memory"]["usage"]["usage"])


DISK = disk()
CASES: list[tuple[str, dict[str, Any], dict[str, str]]] = [  # controller, limits, files
    ("hugetlb", {"hugepageLimits": [{"pageSize": "2MB", "limit": 4 << 20}]},
     {"hugetlb.2MB.max": str(4 << 20), "hugetlb.2MB.limit_in_bytes": str(4 << 20),
      "hugetlb.2MB.rsvd.max": str(4 << 20)}),
    ("cpu", {"cpu": {"shares": 512, "quota": 20_000, "period": 50_000}},
     {"cpu.shares": "512", "cpu.cfs_quota_us": "20000", "cpu.weight": "59",
      "cpu.max": "20000 50000"}),
    ("cpuset", {"cpu": {"cpus": "0", "mems": "0"}}, {"cpuset.cpus": "0", "cpuset.mems": "0"}),
    ("cpu", {"cpu": {"idle": 1}}, {"cpu.idle": "1"}),
    ("memory", {"memory": {"limit": 64 << 20, "reservation": 32 << 20}},
     {"memory.limit_in_bytes": str(64 << 20), "memory.max": str(64 << 20),
      "memory.soft_limit_in_bytes": str(32 << 20), "memory.low": str(32 << 20)}),
    ("pids", {"pids": {"limit": 17}}, {"pids.max": "17"}),
    ("blkio" if not is_cgroup2_only() else "io",
     {"blockIO": {
         "throttleReadBpsDevice": [{**numbers(), "rate": 1 << 20}],
         "throttleWriteIOPSDevice": [{**numbers(), "rate": 77}],
     }},
     {"blkio.throttle.read_bps_device": f"{DISK} {1 << 20}",
      "blkio.throttle.write_iops_device": f"{DISK} 77",
      "io.max": f"{DISK} rbps={1 << 20} wbps=max riops=max wiops=77"}),
]  # fmt: skip


@pytest.mark.parametrize(("controller", "limits", "files"), CASES)
def test_a_limit_stands_in_the_files_of_the_group(
    one: Oci, ground: Ground, controller: str, limits: dict[str, Any], files: dict[str, str]
) -> None:
    if controller not in controllers():
        pytest.skip(f"no cgroup controller {controller}")
    one.linux["resources"] |= limits
    one.create("a", "true")
    found = {file: value_of(ground, "a", file) for file in files}
    there = {file: value for file, value in found.items() if value is not None}
    assert there == {file: files[file] for file in there}
    assert there
    one("delete", "a")


def test_files_of_version_2_can_be_named(one: Oci, ground: Ground) -> None:
    if is_cgroup2_only():
        unified = {"pids.max": "19", "memory.high": str(48 << 20)}
    elif "hugetlb" in controllers():
        unified = {"hugetlb.2MB.max": str(6 << 20)}
    else:
        pytest.skip("version 2 has no controllers here")
    one.linux["resources"]["unified"] = unified
    one.create("a", "true")
    assert {file: value_of(ground, "a", file) for file in unified} == unified
    one("delete", "a")


REFUSED_IN_UNIFIED = [
    *("cgroup.procs", "cgroup.threads", "cgroup.kill", "cgroup.freeze", "cgroup.type"),
    *("cgroup.subtree_control", "cgroup.pressure", "cgroup.max.depth", "cgroup.nonsense"),
    *("../cgroup.procs", "x/../../cgroup.procs", "/sys/fs/cgroup/cgroup.procs", "memory./max"),
    *("..", ".", "", "tasks", "memory.", ".max", "memory..max", "pids.max\n", "pids.max\0"),
]


@pytest.mark.parametrize("file", REFUSED_IN_UNIFIED)
def test_unified_with_a_file_of_no_controller_moves_no_process(one: Oci, file: str) -> None:
    with started("sleep", "100") as other:
        before = Path(f"/proc/{other.pid}/cgroup").read_text()
        one.linux["resources"]["unified"] = {file: str(other.pid)}
        one.write("true")
        said = one("create", "--bundle", one.bundle, "a", code=1).stderr
        assert "linux.resources.unified" in said
        assert "CONTROLLER.PARAMETER" in said
        assert Path(f"/proc/{other.pid}/cgroup").read_text() == before
        assert other.poll() is None
    assert one.is_clean()


@needs_controller("pids")
@pytest.mark.parametrize("file", ["cgroup.procs", "cgroup.freeze", "../cgroup.procs"])
def test_update_with_a_file_of_no_controller_changes_nothing(
    one: Oci, ground: Ground, file: str
) -> None:
    one.linux["resources"]["pids"] = {"limit": 17}
    one.start("a")
    with started("sleep", "100") as other:
        before = Path(f"/proc/{other.pid}/cgroup").read_text()
        limits = {"pids": {"limit": 19}, "unified": {file: str(other.pid)}}
        said = one("update", "-r", "-", "a", code=1, input=json.dumps(limits)).stderr
        assert "linux.resources.unified" in said
        assert Path(f"/proc/{other.pid}/cgroup").read_text() == before
    assert value_of(ground, "a", "pids.max") == "17"
    one("delete", "--force", "a")


def test_a_core_file_of_a_cgroup_moves_any_process_of_the_host(ground: Ground) -> None:
    """Without the check, minirt would write what the two tests above ask for."""
    group = cgroups.make("other")
    assert group.unified
    with started("sleep", "100") as other:
        (group.unified / "cgroup.procs").write_text(str(other.pid))
        assert f"0::/{ground.cgroup}/other\n" in Path(f"/proc/{other.pid}/cgroup").read_text()
    group.remove()


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        ({"unified": {"memory.nonsense": "1"}}, "memory.nonsense"),
        ({"hugepageLimits": [{"pageSize": "3MB", "limit": 1}]}, "3MB"),
        ({"hugepageLimits": [{"pageSize": "2 MB", "limit": 1}]}, "pageSize"),
        ({"rdma": {"mlx5_9": {"hcaHandles": 1}}}, "rdma|RDMA"),
        ({"network": {"classID": 0x10_0001}}, "net_cls"),
        ({"network": {"priorities": [{"name": "eth0", "priority": 3}]}}, "net_prio"),
        ({"blockIO": {"leafWeight": 500}}, "leafWeight"),
        ({"blockIO": {"weightDevice": [{"major": 1, "minor": 0, "leafWeight": 9}]}}, "leafWeight"),
        ({"memory": {"limit": 1 << 20, "swap": 1 << 19}}, "swap"),
        ({"cpu": {"cpus": "9999"}}, "cpus"),
        ({"devices": [{"allow": True, "type": "x", "access": "r"}]}, "type"),
    ],
)
def test_what_can_not_be_held_is_refused_and_nothing_stays(
    one: Oci, limits: dict[str, Any], why: str
) -> None:
    """What this machine lacks (RDMA, net_cls), and what makes no sense anywhere."""
    one.linux["resources"] |= limits
    one.write("true")
    said = one("create", "--bundle", one.bundle, "a", code=1).stderr
    assert any(word in said for word in why.split("|")), said
    assert one.is_clean()


def test_more_memory_is_in_use_than_is_to_be_allowed(one: Oci) -> None:
    """With checkBeforeUpdate that is an error; without it the kernel would reclaim, or kill."""
    if "memory" not in controllers():
        pytest.skip("no cgroup controller memory")
    one.start("a", "sh", "-c", "head -c 8000000 /dev/zero > /dev/shm/x; sleep 100")
    words = ("update", "--resources", "-", "a")
    wait_until(lambda: used(one) > 500_000)
    limits = json.dumps({"memory": {"limit": 4096, "checkBeforeUpdate": True}})
    assert "in use" in one(*words, code=1, input=limits).stderr
    limits = json.dumps({"memory": {"limit": 64 << 20, "checkBeforeUpdate": True}})
    one(*words, input=limits)
    one("delete", "--force", "a")


def test_update_lets_the_oom_killer_work_again(one: Oci, ground: Ground) -> None:
    """Runc and crun leave it switched off."""
    if is_cgroup2_only():
        pytest.skip("only version 1 can switch it off")
    one.linux["resources"]["memory"] = {"disableOOMKiller": True}
    one.start("a")
    assert "oom_kill_disable 1" in str(value_of(ground, "a", "memory.oom_control"))
    one("update", "-r", "-", "a", input=json.dumps({"memory": {"disableOOMKiller": False}}))
    found = value_of(ground, "a", "memory.oom_control")
    one("delete", "--force", "a")
    assert "oom_kill_disable 0" in str(found)


def test_update_has_options_for_a_burst_and_for_idle(one: Oci, ground: Ground) -> None:
    if "cpu" not in controllers():
        pytest.skip("no cgroup controller cpu")
    one.start("a")
    one("update", "a", "--cpu-quota", "20000", "--cpu-burst", "10000")
    one("update", "a", "--cpu-idle", "1")
    found = [value_of(ground, "a", file) for file in ("cpu.cfs_burst_us", "cpu.max.burst")]
    assert "10000" in found
    assert value_of(ground, "a", "cpu.idle") == "1"
    one("update", "a", "--cpu-idle", "0", "--cpu-burst", "0", "--cpu-share", "512")
    assert value_of(ground, "a", "cpu.idle") == "0"
    shares = value_of(ground, "a", "cpu.shares") or value_of(ground, "a", "cpu.weight")
    one("delete", "--force", "a")
    assert shares in ("512", "59")


@needs_realtime_budgets
@pytest.mark.parametrize("path", ["", "x/y"])
def test_a_realtime_budget_is_granted_by_the_groups_of_minirt_above(
    one: Oci, ground: Ground, path: str
) -> None:
    """They have what the groups in them have together, and no more."""
    one.linux["cgroupsPath"] = path
    one.linux["resources"]["cpu"] = {"realtimeRuntime": 1000, "realtimePeriod": 100_000}
    one.process["scheduler"] = {"policy": "SCHED_FIFO", "priority": 5}
    one.start("a")
    assert value_of(ground, path or "a", "cpu.rt_runtime_us") == "1000"
    one.linux["cgroupsPath"] = ""
    one.start("b")
    assert value_of(ground, "", "cpu.rt_runtime_us") == "20000"  # of a second
    one("update", "--cpu-rt-runtime", "3000", "b")
    assert value_of(ground, "", "cpu.rt_runtime_us") == "40000"
    one("delete", "--force", "a")
    assert value_of(ground, "", "cpu.rt_runtime_us") == "30000"
    one("update", "--cpu-rt-runtime", "2000", "b")
    assert value_of(ground, "", "cpu.rt_runtime_us") == "20000"
    one("delete", "--force", "b")
    assert value_of(ground, "", "cpu.rt_runtime_us") == "0"


@needs_realtime_budgets
def test_budget_of_a_create_that_fails_is_returned(one: Oci, ground: Ground) -> None:
    one.linux["resources"]["cpu"] = {"realtimeRuntime": 1000, "realtimePeriod": 100_000}
    file = one.top / "budget"
    script = f"cat {cpu_folder() / ground.cgroup}/cpu.rt_runtime_us > {file}; exit 1"
    one.config["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]}
    one.write("true")
    one("create", "--bundle", one.bundle, "a", code=1)
    assert file.read_text() == "10000\n"
    assert value_of(ground, "", "cpu.rt_runtime_us") == "0"


@needs_realtime_budgets
def test_budgets_of_containers_that_come_and_go_together_are_all_returned(
    one: Oci, ground: Ground
) -> None:
    one.linux["cgroupsPath"] = ""
    one.linux["resources"]["cpu"] = {"realtimeRuntime": 1000, "realtimePeriod": 100_000}
    one.write("true")
    for _ in range(3):
        running = [
            subprocess.Popen(
                one.words("run", "--bundle", one.bundle, f"a{number}"),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for number in range(6)
        ]
        said = [each.communicate(timeout=60)[1] for each in running]
        assert said == [""] * 6
        assert value_of(ground, "", "cpu.rt_runtime_us") == "0"


@needs_realtime_budgets
def test_more_than_the_machine_has_is_refused(one: Oci) -> None:
    one.linux["resources"]["cpu"] = {"realtimeRuntime": 99_000, "realtimePeriod": 100_000}
    one.write("true")
    said = one("create", "--bundle", one.bundle, "a", code=1).stderr
    assert "realtimeRuntime is 99000" in said and "too small" in said
    assert one.is_clean()
