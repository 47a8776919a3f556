"""Limits, lists and the freezer, on this machine (config-linux.md, "Cgroups Path")."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from integration import oci
from integration.oci import Oci
from integration.sandbox import cgroup_roots, needs_controller, needs_tool, started, wait_until
from integration.traces import Ground
from minirt.errors import InvalidRequest
from minirt.kernel import cgroup_signals, cgroups
from minirt.oci import groups, placing, systemd


@pytest.fixture
def one(ground: Ground, rootfs: Path) -> Oci:
    return oci.make(ground.root / "oci", rootfs)


def groups_of(name: str) -> list[Path]:
    """Return the folders of a group, named from the top, that exist."""
    return [root / name for root in cgroup_roots() if (root / name).is_dir()]


def group_of(pid: int) -> set[str]:
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return {line.split(":", 2)[2] for line in lines}


# ---- where the group is ------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "relative/nested", "/absolute/nested"])
def test_the_group_is_where_the_config_says_and_goes_with_the_container(
    one: Oci, ground: Ground, path: str
) -> None:
    """None: called like the container, below minirt's own; relative: below minirt's own."""
    asked = f"/{ground.cgroup}{path}" if path.startswith("/") else path
    name = asked[1:] if asked.startswith("/") else f"{ground.cgroup}/{asked or 'a'}"
    if path:
        one.linux["cgroupsPath"] = asked
    one.create("a", "true")
    assert len(groups_of(name)) == len(cgroup_roots())
    one("delete", "a")
    assert not groups_of(name)  # Nor are its parents left: every test looks for that at its end.


def test_every_process_is_in_it_and_groups_below_it_go_too(one: Oci, ground: Ground) -> None:
    one.start("a")
    pid = one.state("a")["pid"]
    assert f"/{ground.cgroup}/a" in group_of(pid)
    for folder in groups_of(f"{ground.cgroup}/a"):
        (folder / "below").mkdir()
    one("delete", "--force", "a")
    assert not groups_of(f"{ground.cgroup}/a")


def test_a_group_that_is_in_use_is_refused_and_stays(one: Oci, ground: Ground) -> None:
    group = cgroups.make("other")
    with started("sleep", "100") as stranger:
        group.add(stranger.pid)
        one.linux["cgroupsPath"] = "other"
        one.write("true")
        assert "not empty" in one("create", "--bundle", one.bundle, "a", code=1).stderr
        assert stranger.poll() is None
        assert one.is_clean()
        assert groups_of(f"{ground.cgroup}/other")
    group.remove()


def test_a_frozen_group_is_refused(one: Oci) -> None:
    group = cgroups.make("other")
    group.freeze()
    one.linux["cgroupsPath"] = "other"
    one.write("true")
    assert "frozen" in one("create", "--bundle", one.bundle, "a", code=1).stderr
    group.thaw()
    group.remove()


def test_a_group_that_was_there_before_is_not_removed(one: Oci, ground: Ground) -> None:
    group = cgroups.make("other")
    one.linux["cgroupsPath"] = "other"
    one.start("a")
    one("delete", "--force", "a")
    assert groups_of(f"{ground.cgroup}/other")
    group.remove()


@pytest.mark.parametrize("path", ["../up", "/", "a/../../b"])
def test_a_path_that_leaves_the_hierarchy_is_refused(one: Oci, path: str) -> None:
    one.linux["cgroupsPath"] = path
    one.write("true")
    assert "cgroupsPath" in one("create", "--bundle", one.bundle, "a", code=1).stderr
    assert one.is_clean()


def test_a_path_with_too_many_levels_is_refused_before_any_is_made(
    one: Oci, ground: Ground
) -> None:
    one.linux["cgroupsPath"] = f"/{ground.cgroup}" + "/x" * 64
    one.write("true")
    said = one("create", "--bundle", one.bundle, "a", code=1).stderr
    assert "linux.cgroupsPath is too deep: it has 65 levels" in said
    assert not groups_of(f"{ground.cgroup}/x")
    assert one.is_clean()


def test_a_path_with_as_many_levels_as_are_allowed_is_made(one: Oci, ground: Ground) -> None:
    one.linux["cgroupsPath"] = f"/{ground.cgroup}" + "/x" * 63
    one.create("a", "true")
    assert groups_of(ground.cgroup + "/x" * 63)
    one("delete", "a")


def test_slices_of_systemd_with_too_many_levels_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd, "_RUNNING", tmp_path)
    monkeypatch.setattr(groups, "_manager", "systemd")
    placing.check("-".join("x" * 63) + ".slice:oci:a", "a")
    with pytest.raises(InvalidRequest, match="it has 65 levels"):
        placing.check("-".join("x" * 64) + ".slice:oci:a", "a")


# ---- what is in it -----------------------------------------------------------------------------


@needs_controller("pids")
def test_limits_of_the_config_hold_and_can_be_changed(one: Oci) -> None:
    one.linux["resources"]["pids"] = {"limit": 1}
    one.start("a", "sh", "-c", "while :; do sleep 0.1 || exit; done")
    one.await_end("a")
    assert "fork" in one.said()
    one("delete", "a")


@needs_controller("pids")
@needs_controller("memory")
def test_update_by_options_and_by_a_file(one: Oci, ground: Ground) -> None:
    one.start("a")
    one("update", "--pids-limit", "7", "--memory", "64M", "a")
    stats = json.loads(one("events", "--stats", "a").stdout)["data"]
    assert stats["pids"]["limit"] == 7
    assert stats["memory"]["usage"]["limit"] == 64 << 20
    one("update", "--resources", "-", "a", input=json.dumps({"pids": {"limit": 9}}))
    stats = json.loads(one("stats", "a").stdout)["data"]
    assert stats["pids"]["limit"] == 9
    assert stats["memory"]["usage"]["limit"] == 64 << 20
    for words, why in ((("--memory", "much"), "no size"), (("--pids-limit", "x"), "number")):
        assert why in one("update", *words, "a", code=1).stderr
    one("delete", "--force", "a")


def test_stats_count_what_it_uses(one: Oci) -> None:
    one.start("a", "sh", "-c", "while :; do :; done")
    document = json.loads(one("events", "--stats", "a").stdout)
    assert (document["type"], document["id"]) == ("stats", "a")
    usage = document["data"]["cpu"]["usage"]
    wait_until(
        lambda: (
            json.loads(one("events", "--stats", "a").stdout)["data"]["cpu"]["usage"]["total"]
            > usage["total"]
        )
    )
    assert document["data"]["memory"]["usage"]["usage"] > 0
    one("delete", "--force", "a")


def test_events_go_on_until_the_container_ends(one: Oci) -> None:
    one.start("a")
    words = one.words("events", "--interval", "50ms", "a")
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout
        for _ in range(2):
            assert json.loads(following.stdout.readline())["type"] == "stats"
        one("kill", "a", "KILL")
        following.communicate(timeout=20)
        assert following.returncode == 0
    one("delete", "a")


@needs_controller("memory")
@pytest.mark.parametrize("who", ["another process", "init"])
def test_events_tell_of_processes_that_wanted_too_much_memory(one: Oci, who: str) -> None:
    one.linux["resources"]["memory"] = {"limit": 20 << 20}
    eat = "until [ -e /go ]; do sleep 0.1; done; x=a; while :; do x=$x$x; done"
    one.start("a", "sh", "-c", eat if who == "init" else f"({eat}); sleep 100")
    words = one.words("events", "--interval", "50ms", "a")
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout
        assert json.loads(following.stdout.readline())["type"] == "stats"
        (one.rootfs / "go").touch()
        while (found := json.loads(following.stdout.readline()))["type"] == "stats":
            continue
        assert found == {"type": "oom", "id": "a"}
        if who != "init":
            one("kill", "a", "KILL")
        following.communicate(timeout=20)
    one.await_end("a")
    one("delete", "a")


@needs_controller("devices")
def test_devices_that_every_container_has_can_be_used_and_others_not(one: Oci) -> None:
    one.linux["devices"] = [{"path": "/dev/loop-control", "type": "c", "major": 10, "minor": 237}]
    one.start("a", "sh", "-c", "echo x > /dev/null && echo null; cat /dev/loop-control")
    one.await_end("a")
    assert one.said().startswith("null\n")
    assert "not permitted" in one.said()
    one("delete", "a")


# ---- pause, list, ps ---------------------------------------------------------------------------


def test_a_paused_container_stands_and_can_go_on(one: Oci) -> None:
    one.start("a", "sh", "-c", "while :; do echo x; sleep 0.02; done")
    wait_until(one.said)
    one("pause", "a")
    assert one.status("a") == "paused"
    before = one.said()
    assert "paused" in one("pause", "a", code=1).stderr
    assert one.said() == before
    one("resume", "a")
    wait_until(lambda: len(one.said()) > len(before))
    assert "running" in one("resume", "a", code=1).stderr
    one("delete", "--force", "a")


@pytest.mark.parametrize("words", [("kill", "a", "KILL"), ("delete", "--force", "a")])
def test_a_paused_container_can_be_killed(one: Oci, words: tuple[str, ...]) -> None:
    one.start("a")
    one("pause", "a")
    one(*words)
    if words[0] == "kill":
        one.await_end("a")
        one("delete", "a")
    assert one.is_clean()


def test_under_a_frozen_parent_delete_says_at_once_what_to_thaw(one: Oci, ground: Ground) -> None:
    """Version 1 keeps a frozen process from dying; with version 2 it dies, and is deleted."""
    one.start("a")
    parents = [root / ground.cgroup for root in cgroup_roots()]
    freezers = [one / "freezer.state" for one in parents if (one / "freezer.state").exists()]
    if not freezers:
        (parents[0] / "cgroup.freeze").write_text("1")
        one("delete", "--force", "a")
        (parents[0] / "cgroup.freeze").write_text("0")
        assert one.is_clean()
        return
    freezers[0].write_text("FROZEN")
    said = one("delete", "--force", "a", code=1).stderr
    freezers[0].write_text("THAWED")
    assert f"{freezers[0].parent} is frozen" in said
    one("delete", "--force", "a")
    assert one.is_clean()


def test_with_version_1_alone_a_group_under_a_frozen_parent_is_killed_when_that_is_thawed(
    one: Oci, ground: Ground
) -> None:
    freezer = next((root for root in cgroup_roots() if root.name == "freezer"), None)
    if freezer is None:
        pytest.skip("no freezer of version 1")
    one.start("a")
    pid = one.state("a")["pid"]
    parent = freezer / ground.cgroup
    (parent / "freezer.state").write_text("FROZEN")
    cgroup_signals.kill(parent / "a", parent / "a")  # ends, although nobody dies
    assert Path(f"/proc/{pid}").exists()
    (parent / "freezer.state").write_text("THAWED")
    one.await_end("a")
    one("delete", "a")


def test_lists_name_all_containers(one: Oci) -> None:
    assert json.loads(one("list", "--format", "json").stdout) == []
    one.start("b")
    one.create("a", "true")
    (first, second) = json.loads(one("list", "-f", "json").stdout)
    assert list(first) == [
        "ociVersion",
        "id",
        "pid",
        "status",
        "bundle",
        "rootfs",
        "created",
        "owner",
    ]
    assert (first["id"], first["status"]) == ("a", "created")
    assert (second["id"], second["status"]) == ("b", "running")
    assert one("list", "-q").stdout == "a\nb\n"
    lines = one("list").stdout.splitlines()
    assert lines[0].split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    assert lines[1].split()[:3] == ["a", str(first["pid"]), "created"]
    assert "invalid format" in one("list", "--format", "xml", code=1).stderr
    one("delete", "a")
    one("delete", "--force", "b")


@needs_tool("ps")
def test_ps_shows_its_processes_only(one: Oci) -> None:
    one.start("a", "sh", "-c", "sleep 77 & wait")
    wait_until(lambda: len(json.loads(one("ps", "-f", "json", "a").stdout)) == 2)
    lines = one("ps", "a").stdout.splitlines()
    assert "PID" in lines[0]
    assert len(lines) == 3
    lines = one("ps", "a", "-o", "pid,args").stdout.splitlines()
    assert any(line.endswith("sleep 77") for line in lines[1:])
    assert "column PID" in one("ps", "a", "-o", "args", code=1).stderr
    one("delete", "--force", "a")
