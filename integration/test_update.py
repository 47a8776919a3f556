"""Limits: where they arrive in the kernel, and ``update``, which changes them while it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.containers import pid_of
from integration.sandbox import cgroup_roots, is_cgroup2_only, needs_controller
from minirt.kernel import cgroups

pytestmark = pytest.mark.core

IDLE = ("run", "-d", "--name", "one", "--net", "none")


def folder_of(minirt: Minirt, controller: str, parent: str = "") -> Path:
    """Return the cgroup of the container, in the hierarchy of a controller."""
    container_id = minirt("inspect", "-f", "{{.Id}}", "one").stdout.strip()
    found = cgroups.find(f"{parent}/{container_id}" if parent else container_id)
    folder = found.folder(controller)
    assert folder is not None
    return folder.path


def limit(minirt: Minirt, controller: str, old: str, new: str) -> str:
    """Return what a file says, by its name of version 1 and of version 2."""
    folder = folder_of(minirt, controller)
    file = folder / new if (folder / new).exists() else folder / old
    return file.read_text().strip()


@needs_controller("memory")
@needs_controller("pids")
def test_limits_change_while_it_runs_and_stay(minirt: Minirt, image: str) -> None:
    minirt(*IDLE, "-m", "64m", "--pids-limit", "50", image, "sleep", "1000")
    names = ("memory.limit_in_bytes", "memory.max")
    assert limit(minirt, "memory", *names) == str(64 << 20)
    words = ("-m", "128m", "--pids-limit", "20")
    assert minirt("update", *words, "one").stdout == "one\n"
    assert limit(minirt, "memory", *names) == str(128 << 20)
    assert limit(minirt, "pids", "pids.max", "pids.max") == "20"
    template = "{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}"
    assert minirt("inspect", "-f", template, "one").stdout == f"{128 << 20} 20\n"
    minirt("restart", "-t", "0", "one")
    assert limit(minirt, "memory", *names) == str(128 << 20)
    minirt("update", "--pids-limit", "-1", "one")
    assert limit(minirt, "pids", "pids.max", "pids.max") == "max"


@needs_controller("cpu")
@needs_controller("cpuset")
def test_shares_and_processors(minirt: Minirt, image: str) -> None:
    words = ("--cpu-shares", "512", "--cpuset-cpus", "0", "--cpus", "0.5")
    minirt(*IDLE, *words, image, "sleep", "1000")
    assert limit(minirt, "cpu", "cpu.shares", "cpu.weight") in ("512", "59", "20")
    assert limit(minirt, "cpuset", "cpuset.cpus", "cpuset.cpus") == "0"
    seen = minirt("exec", "one", "grep", "Cpus_allowed_list", "/proc/self/status").stdout
    assert seen.split() == ["Cpus_allowed_list:", "0"]
    minirt("update", "--cpus", "0.25", "one")
    quota = limit(minirt, "cpu", "cpu.cfs_quota_us", "cpu.max")
    assert quota.split()[0] == "25000"
    refused = minirt("update", "--cpuset-cpus", "9000", "one", code=1).stderr
    assert "can't be set" in refused
    assert minirt("inspect", "-f", "{{.HostConfig.CpusetCpus}}", "one").stdout == "0\n"


@needs_controller("memory")
def test_what_contradicts_itself_changes_nothing(minirt: Minirt, image: str) -> None:
    minirt("create", "--name", "one", "-m", "64m", "--memory-swap", "80m", image, "true")
    refused = minirt("update", "-m", "100m", "one", code=1).stderr
    assert "already set memoryswap limit" in refused
    assert "one or more flags" in minirt("update", "one", code=1).stderr
    assert "No such container" in minirt("update", "-m", "100m", "two", code=1).stderr
    assert minirt("inspect", "-f", "{{.HostConfig.Memory}}", "one").stdout == f"{64 << 20}\n"
    minirt("update", "-m", "100m", "--memory-swap", "200m", "one")
    assert minirt("inspect", "-f", "{{.HostConfig.Memory}}", "one").stdout == f"{100 << 20}\n"


def test_a_parent_for_its_cgroup_and_a_score_for_the_oom_killer(minirt: Minirt, image: str) -> None:
    parent = f"/{cgroups.base_name()}/family"
    words = ("--cgroup-parent", parent, "--oom-score-adj", "321")
    minirt(*IDLE, *words, image, "sleep", "1000")
    pid = pid_of(minirt, "one")
    groups = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    roots = len(cgroup_roots()) if not is_cgroup2_only() else 1
    assert sum(f"{parent}/" in line for line in groups) >= min(roots, 1)
    assert minirt("exec", "one", "cat", "/proc/self/oom_score_adj").stdout == "321\n"
    assert Path(f"/proc/{pid}/oom_score_adj").read_text() == "321\n"
    assert "sleep 1000" in minirt("top", "one").stdout
    minirt("pause", "one")
    minirt("rm", "-f", "one")
    family = cgroups.find(parent)
    left = [one.path for one in family.folders if one.path.exists()]
    assert not [below for one in left for below in one.iterdir() if below.is_dir()]
    family.remove()  # As with Docker it stays: it may have limits of its own.
