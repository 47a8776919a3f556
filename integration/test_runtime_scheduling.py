"""When the command runs, what time it sees, and for what kernel it takes this one."""

from __future__ import annotations

from pathlib import Path

import pytest

from integration import bundles, oci
from integration.bundles import Bundle
from integration.sandbox import cgroup_roots
from integration.traces import Ground
from minirt.errors import InvalidRequest, MinirtError


@pytest.fixture
def bundle(ground: Ground, rootfs: Path) -> Bundle:
    return bundles.make(ground.root / "bundle", rootfs)


def test_the_priority_of_its_input_and_output(bundle: Bundle) -> None:
    bundle.process["ioPriority"] = {"class": "IOPRIO_CLASS_BE", "priority": 6}
    assert bundle.run("busybox", "ionice").output == "best-effort: prio 6\n"


def test_the_policy_of_its_scheduler_and_its_niceness(bundle: Bundle) -> None:
    bundle.process["scheduler"] = {"policy": "SCHED_BATCH", "nice": 5}
    fields = bundle.run("cat", "/proc/self/stat").output.split()  # proc_pid_stat(5)
    nice, policy = fields[18], fields[40]
    assert (policy, nice) == ("3", "5")


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("scheduler", {"policy": "SCHED_NONSENSE"}, "scheduler.policy"),
        ("scheduler", {"policy": "SCHED_OTHER", "nice": 40}, "scheduler.nice"),
        ("scheduler", {"policy": "SCHED_OTHER", "flags": ["X"]}, "scheduler.flags"),
        ("ioPriority", {"class": "IOPRIO_CLASS_BE", "priority": 8}, "ioPriority.priority"),
        ("execCPUAffinity", {"initial": "0"}, "execCPUAffinity"),
    ],
)
def test_what_is_no_such_thing_is_refused(
    bundle: Bundle, key: str, value: object, why: str
) -> None:
    bundle.process[key] = value
    with pytest.raises(InvalidRequest, match=why):
        bundle.spec("true")


def test_what_the_kernel_refuses_is_an_error_of_the_start(bundle: Bundle) -> None:
    bundle.process["scheduler"] = {"policy": "SCHED_DEADLINE"}  # without its three times
    with pytest.raises(MinirtError, match="schedule"):
        bundle.run("true")


def test_the_personality_changes_the_name_of_the_machine(bundle: Bundle) -> None:
    assert bundle.run("busybox", "uname", "-m").output == "x86_64\n"
    bundle.linux["personality"] = {"domain": "LINUX32"}
    assert bundle.run("busybox", "uname", "-m").output == "i686\n"


def test_clocks_are_set_off_in_a_time_namespace(bundle: Bundle) -> None:
    bundle.linux["namespaces"].append({"type": "time"})
    bundle.linux["timeOffsets"] = {"boottime": {"secs": 1_000_000, "nanosecs": 5}}
    uptime = float(bundle.run("cat", "/proc/uptime").output.split()[0])
    here = float(Path("/proc/uptime").read_text().split()[0])
    assert 999_000 < uptime - here < 1_001_000


@pytest.mark.parametrize("offsets", [{"realtime": {"secs": 1}}, {"boottime": {"secs": "x"}}])
def test_only_two_clocks_can_be_set_off_and_only_in_a_namespace(
    bundle: Bundle, offsets: object
) -> None:
    bundle.linux["timeOffsets"] = {"boottime": {"secs": 1}}
    with pytest.raises(InvalidRequest, match="time namespace"):
        bundle.spec("true")
    bundle.linux["namespaces"].append({"type": "time"})
    bundle.linux["timeOffsets"] = offsets
    with pytest.raises(InvalidRequest, match="timeOffsets"):
        bundle.spec("true")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("intelRdt", {"closID": "x"}),
        ("netDevices", {"eth0": {"name": "x"}}),
    ],
)
def test_what_is_not_done_yet_is_refused_and_never_ignored(
    bundle: Bundle, key: str, value: object
) -> None:
    bundle.linux[key] = value
    with pytest.raises(InvalidRequest, match=f"linux.{key}"):
        bundle.spec("true")


# ---- from where its memory comes -----------------------------------------------------------------

NUMA_MAPS = Path("/proc/self/numa_maps")  # proc_pid_numa_maps(5)
needs_numa = pytest.mark.skipif(not NUMA_MAPS.exists(), reason="this kernel knows no NUMA nodes")


@needs_numa
@pytest.mark.parametrize(
    ("policy", "shown"),
    [
        ({"mode": "MPOL_DEFAULT"}, "default"),
        ({"mode": "MPOL_LOCAL", "nodes": ""}, "local"),
        ({"mode": "MPOL_PREFERRED"}, "local"),
        ({"mode": "MPOL_PREFERRED", "nodes": "0"}, "prefer:0"),
        (
            {"mode": "MPOL_BIND", "nodes": "0-63"},
            "bind:0",
        ),  # of these it takes those that there are
        ({"mode": "MPOL_BIND", "nodes": "0,64,65"}, "bind:0"),
        ({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}, "bind=static:0"),
        ({"mode": "MPOL_INTERLEAVE", "nodes": "0"}, "interleave:0"),
        (
            {"mode": "MPOL_INTERLEAVE", "nodes": "0", "flags": ["MPOL_F_RELATIVE_NODES"]},
            "interleave=relative:0",
        ),
    ],
)
def test_its_memory_comes_from_nodes_by_the_policy(
    bundle: Bundle, policy: dict[str, object], shown: str
) -> None:
    """Each mapping without a policy of its own has that of the process."""
    show = ("head", "-n", "1", "/proc/self/numa_maps")
    assert bundle.run(*show).output.split()[1] == "default"  # the control
    bundle.linux["memoryPolicy"] = policy
    assert bundle.run(*show).output.split()[1] == shown
    with bundle.running() as created:
        assert bundles.enter_and_wait(created, *show).output.split()[1] == shown


@needs_numa
@pytest.mark.parametrize(
    "policy",
    [
        {"mode": "MPOL_BIND", "nodes": "1023"},
        {"mode": "MPOL_INTERLEAVE", "nodes": "0", "flags": ["MPOL_F_NUMA_BALANCING"]},
    ],
)
def test_a_policy_that_the_kernel_refuses_is_named(
    bundle: Bundle, policy: dict[str, object]
) -> None:
    bundle.linux["memoryPolicy"] = policy
    with pytest.raises(MinirtError, match=f"Cannot set the memory policy {policy['mode']}"):
        bundle.run("true")


# ---- a tmpfs that begins with what it covers ---------------------------------------------------


@pytest.mark.parametrize("more", [(), ("ro",)])
def test_a_tmpfs_can_begin_with_what_it_covers(bundle: Bundle, more: tuple[str, ...]) -> None:
    data = bundle.add_layer("data") / "data"
    (data / "deep" / "er").mkdir(parents=True)
    data.chmod(0o711)
    (data / "deep" / "file").write_text("words\n")
    (data / "deep" / "file").chmod(0o4640)
    (data / "link").symlink_to("/etc/passwd")
    bundle.mount("/data", "tmpfs", "tmpfs", "tmpcopyup", *more)
    script = "cd /data; cat deep/file; readlink link; stat -c '%a %n' . deep/file deep/er; "
    script += "grep -c ' /data tmpfs' /proc/mounts; echo x > new && rm deep/file"
    ended = bundle.run("sh", "-c", script)
    assert ended.lines[:6] == [
        "words",
        "/etc/passwd",
        "711 .",
        "4640 deep/file",
        "755 deep/er",
        "1",
    ]
    assert ended.code == (1 if more else 0)
    assert (data / "deep" / "file").exists()


def test_only_a_tmpfs_can(bundle: Bundle) -> None:
    data = bundle.add_layer("data") / "data"
    data.mkdir()
    (data / "file").touch()
    bundle.mount("/data", "ramfs", "ramfs", "tmpcopyup")
    assert bundle.run("ls", "/data").output == ""


def test_links_in_what_it_covers_lead_nowhere(bundle: Bundle, tmp_path: Path) -> None:
    """A folder that is a link to the host's is copied as a link, and a FIFO makes nobody wait."""
    data = bundle.add_layer("data") / "data"
    data.mkdir()
    (data / "out").symlink_to(tmp_path)
    (tmp_path / "secret").write_text("of the host")
    bundle.mount("/data", "tmpfs", "tmpfs", "tmpcopyup")
    assert bundle.run("sh", "-c", "cat /data/out/secret").code == 1


def test_a_realtime_policy_without_a_budget_is_refused_with_the_reason(
    ground: Ground, rootfs: Path
) -> None:
    one = oci.make(ground.root / "oci", rootfs)
    if not any((root / "cpu.rt_runtime_us").exists() for root in cgroup_roots()):
        pytest.skip("this kernel has no budgets of cgroups")
    one.process["scheduler"] = {"policy": "SCHED_FIFO", "priority": 5}
    one.write("true")
    said = one("run", "--bundle", one.bundle, "a", code=1).stderr
    assert "no realtime budget" in said
    assert "CAP_" not in said
