"""Cgroups that systemd makes, where it runs; where it doesn't, an error that says so."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration import oci
from integration.oci import Oci
from integration.sandbox import PATIENCE, shell, wait_until
from integration.traces import Ground

SYSTEMD = "org.freedesktop.systemd1"
RUNS = Path("/run/systemd/system").is_dir()
needs_systemd = pytest.mark.skipif(not RUNS, reason="no systemd runs on this machine")
# Each test has an address of the bus where nobody is, so that it meets no firewalld.
BUSCTL = ("busctl", "--address=unix:path=/run/dbus/system_bus_socket")


@pytest.fixture
def one(ground: Ground, rootfs: Path) -> Oci:
    return oci.make(ground.root / "oci", rootfs)


@pytest.fixture
def scope(one: Oci, ground: Ground) -> Iterator[str]:
    """Let the container's scope be called like the test's group, and be gone at the end."""
    name = ground.cgroup.rpartition("-")[2]
    one.linux["cgroupsPath"] = f"minirttest.slice:oci:{name}"
    yield f"oci-{name}.scope"
    assert show(f"oci-{name}.scope", "LoadState") == "not-found"


def show(unit: str, *names: str) -> str:
    """Return what systemd knows of a unit; systemctl needs to be in systemd's PID namespace."""
    path = "/org/freedesktop/systemd1/unit/"
    path += "".join(one if one.isalnum() else f"_{ord(one):02x}" for one in unit)
    found = []
    for name in names:
        owner = "Scope" if name in ("Delegate", "Slice", "TimeoutStopUSec", "TasksMax") else "Unit"
        place = (SYSTEMD, path, f"{SYSTEMD}.{owner}", name)
        found.append(shell(*BUSCTL, "get-property", *place).stdout.split(" ", 1)[1].strip())
    return " ".join(found).replace('"', "")


def reload_systemd() -> None:
    place = (SYSTEMD, "/org/freedesktop/systemd1", f"{SYSTEMD}.Manager")
    shell(*BUSCTL, "--timeout=60", "call", *place, "Reload", seconds=60)


def by_systemd(one: Oci, *words: object, code: int | None = 0) -> subprocess.CompletedProcess[str]:
    return shell(*oci.WORDS, "--root", one.root, "--systemd-cgroup", *words, code=code)


def create(one: Oci, name: str, *args: str) -> None:
    one.write(*args)
    with one.output.open("ab") as output:
        words = [*oci.WORDS, "--root", str(one.root), "--systemd-cgroup", "create"]
        done = subprocess.run(
            [*words, "--preserve-fds", "9", "--bundle", str(one.bundle), name],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    assert done.returncode == 0, one.said()


def group_of(pid: int) -> str:
    line = next(
        line for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines() if line[:3] == "0::"
    )
    return line.removeprefix("0::")


@pytest.mark.skipif(RUNS, reason="systemd runs on this machine")
def test_where_no_systemd_runs_an_error_says_so(one: Oci) -> None:
    one.write("true")
    for words in (("--systemd-cgroup",), ("--cgroup-manager", "systemd")):
        refused = one(*words, "create", "--bundle", one.bundle, "a", code=1)
        assert "systemd not running on this host" in refused.stderr
        assert one.is_clean()
    assert one("--systemd-cgroup", "list", "--quiet").stdout == ""


@needs_systemd
@pytest.mark.parametrize("path", ["/absolute", "a:b", "a.slice:b:", "a/b.slice:c:d", "a:b:c"])
def test_a_path_of_another_form_is_refused(one: Oci, path: str) -> None:
    one.linux["cgroupsPath"] = path
    one.write("true")
    refused = by_systemd(one, "create", "--bundle", one.bundle, "a", code=1)
    assert "slice" in refused.stderr
    assert one.is_clean()


@needs_systemd
def test_the_container_is_in_a_scope_that_goes_with_it(one: Oci, scope: str) -> None:
    create(one, "a", "sleep", "100")
    pid = one.state("a")["pid"]
    assert group_of(pid) == f"/minirttest.slice/{scope}"
    known = set(show(scope, "ActiveState", "Delegate", "Slice").split())
    assert known == {"active", "true", "minirttest.slice"}
    assert one.status("a") == "created"
    procs = Path(f"/sys/fs/cgroup/minirttest.slice/{scope}/cgroup.procs")
    assert len(procs.read_text().split()) == 1  # The placeholder has left.
    one("start", "a")
    one("exec", "a", "true")
    assert len(list(Path(f"/proc/{pid}/fd").iterdir())) == 3  # Nor has it left its line.
    one("pause", "a")
    assert one.status("a") == "paused"
    one("delete", "--force", "a")
    assert not procs.exists()
    assert one.is_clean()


@needs_systemd
def test_without_a_path_it_is_called_like_the_container(one: Oci, ground: Ground) -> None:
    name = ground.cgroup.rpartition("-")[2]
    create(one, name, "true")
    assert group_of(one.state(name)["pid"]) == f"/system.slice/minirt-{name}.scope"
    one("start", name)
    one.await_end(name)
    one("delete", name)


@needs_systemd
def test_slices_nest_by_their_dashes(one: Oci, ground: Ground) -> None:
    name = ground.cgroup.rpartition("-")[2]
    one.linux["cgroupsPath"] = f"minirttest-a-b.slice::{name}"
    create(one, "a", "true")
    nested = "minirttest.slice/minirttest-a.slice/minirttest-a-b.slice"
    assert group_of(one.state("a")["pid"]) == f"/{nested}/{name}.scope"
    one("delete", "a")


@needs_systemd
def test_limits_stay_when_systemd_is_reloaded(one: Oci, scope: str) -> None:
    one.linux["resources"] |= {
        "memory": {"limit": 64 << 20, "swap": 96 << 20, "reservation": 32 << 20},
        "cpu": {"quota": 55_555, "period": 50_000, "shares": 2048, "cpus": "0"},
        "pids": {"limit": 33},
        "unified": {"memory.high": str(48 << 20)},
    }
    one.linux["devices"] = [{"path": "/dev/loop-control", "type": "c", "major": 10, "minor": 237}]
    create(one, "a", "sleep", "100")
    one("start", "a")
    folder = Path(f"/sys/fs/cgroup/minirttest.slice/{scope}")
    files = ("memory.max", "memory.low", "memory.high", "cpu.weight", "cpuset.cpus", "pids.max")
    before = [(folder / file).read_text().strip() for file in files]
    assert before == [*map(str, (64 << 20, 32 << 20, 48 << 20)), before[3], "0", "33"]
    assert (folder / "cpu.max").read_text() == "55555 50000\n"
    reload_systemd()
    assert [(folder / file).read_text().strip() for file in files] == before
    opened = one("exec", "a", "cat", "/dev/loop-control", code=1)
    assert "not permitted" in opened.stderr  # The program of the devices is there, too.
    one("update", "--pids-limit", "44", "--memory", "32M", "--memory-swap", "-1", "a")
    reload_systemd()
    assert (folder / "pids.max").read_text() == "44\n"
    assert (folder / "memory.max").read_text() == f"{32 << 20}\n"
    assert show(scope, "TasksMax") == "44"
    one("delete", "--force", "a")


@needs_systemd
def test_annotations_set_properties_of_the_scope(one: Oci, scope: str) -> None:
    one.config["annotations"] = {
        "org.systemd.property.TimeoutStopSec": "uint64 7",
        "org.systemd.property.Documentation": "nonsense",
    }
    one.write("true")
    refused = by_systemd(one, "create", "--bundle", one.bundle, "a", code=1)
    assert "Documentation" in refused.stderr
    assert one.is_clean()
    del one.config["annotations"]["org.systemd.property.Documentation"]
    create(one, "a", "true")
    assert show(scope, "TimeoutStopUSec") == "7000000"
    one("delete", "a")


@needs_systemd
def test_a_scope_of_that_name_is_not_touched(one: Oci, scope: str) -> None:
    create(one, "first", "sleep", "100")
    one.write("true")
    refused = by_systemd(one, "create", "--bundle", one.bundle, "a", code=1)
    assert "not empty" in refused.stderr
    assert by_systemd(one, "list", "--quiet").stdout == "first\n"
    assert one.status("first") == "created"
    assert show(scope, "ActiveState") == "active"
    one("delete", "first")


@needs_systemd
def test_all_die_and_a_container_that_ran_out_of_memory_leaves_no_failed_unit(
    one: Oci, scope: str
) -> None:
    one.share("pid")
    one.linux["resources"]["memory"] = {"limit": 16 << 20, "swap": 16 << 20}
    create(one, "a", "sh", "-c", "sleep 1000 & x=x; while true; do x=$x$x; done")
    one("start", "a")
    one.await_end("a")
    one("delete", "a")


@needs_systemd
@pytest.mark.slow
def test_create_killed_at_any_moment_leaves_nothing_that_delete_does_not_find(
    one: Oci, scope: str
) -> None:
    """The placeholder must not outlive its parent: it would keep the scope for ever."""
    one.write("sleep", "1000")
    words = [*oci.WORDS, "--root", str(one.root), "--systemd-cgroup", "create"]
    for tenth in range(1, 11):
        child = subprocess.Popen(
            [*words, "--bundle", str(one.bundle), "a"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(tenth * 0.03 * PATIENCE)
        child.kill()
        child.wait()
        one("delete", "--force", "a")
        assert one.is_clean()
        wait_until(lambda: show(scope, "LoadState") == "not-found")


@needs_systemd
def test_features_tell_it(one: Oci) -> None:
    assert json.loads(one("features").stdout)["linux"]["cgroup"]["systemd"] is True
