"""A container in a mount namespace that exists already: the caller's, or one given by its path."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from integration import deadly, oci, traces
from integration.oci import RUNTIMES, WORDS, Oci, each_runtime
from integration.sandbox import compiled, shell, started, wait_until
from integration.traces import Ground
from minirt.oci import main

# What runc and crun mount stays behind, and runc changes how the mounts of the caller propagate.
APART = ("unshare", "--mount")
MOST = 200  # steps of one process: many more than there are


@pytest.fixture
def one(ground: Ground, rootfs: Path) -> Oci:
    made = oci.make(ground.root / "oci", rootfs)
    made.config["ociVersion"] = "1.0.2"  # Debian 12's crun knows no later one
    made.share("mount")
    return made


def table(pid: int | str = "self") -> list[str]:
    """Return the mount table of a process."""
    return Path(f"/proc/{pid}/mountinfo").read_text().splitlines()


@contextmanager
def namespace(*options: str, inside: int = 0) -> Iterator[int]:
    """Keep a further mount namespace, a copy of this one or of a process's; return who keeps it."""
    enter = ("nsenter", "--mount", f"--target={inside}") if inside else ()
    words = (*enter, "unshare", "--mount", *options, "sh", "-c", "echo up; exec sleep 1000")
    with started(*words) as keeper:
        assert keeper.stdout and keeper.stdout.readline() == "up\n"
        yield keeper.pid
        keeper.kill()


# ---- without one ---------------------------------------------------------------------------------


@each_runtime()
def test_without_a_mount_namespace_it_runs_in_its_root(one: Oci, runtime: str) -> None:
    one.program = (*APART, *RUNTIMES[runtime])
    one.config["mounts"] = [each for each in one.config["mounts"] if each["type"] == "proc"]
    one.linux.update(maskedPaths=[], readonlyPaths=[])  # runc takes none here
    one.write("sh", "-c", "pwd; ls /; tail -n 1 /proc/self/mounts; touch /made")
    shown = one("run", "--bundle", one.bundle, "a", input="").stdout
    here = sorted(path.name for path in one.rootfs.iterdir() if path.name != "made")
    assert shown.split("\n")[:-2] == ["/", *here]
    assert shown.splitlines()[-1].startswith("proc /proc proc ")
    assert (one.rootfs / "made").exists()


def test_its_mounts_are_the_callers_until_it_is_deleted(one: Oci) -> None:
    """That is what it is asked for: to mount something that the host can use."""
    before = table()
    for kind in ("bounding", "effective", "permitted"):
        one.process["capabilities"][kind].append("CAP_SYS_ADMIN")
    one.start("a", "sh", "-c", "mount -t tmpfs tmpfs /tmp && touch /tmp/here; exec sleep 100")
    pid = one.state("a")["pid"]
    assert Path(f"/proc/{pid}/ns/mnt").readlink() == Path("/proc/self/ns/mnt").readlink()
    wait_until((one.rootfs / "tmp/here").exists)
    assert "minirt-oci:a" in {line.split(" - ")[1].split()[1] for line in table()}
    one("delete", "--force", "a")
    assert table() == before
    assert not (one.rootfs / "tmp/here").exists()


def test_secrets_of_the_host_are_hidden_there_too(one: Oci) -> None:
    one.write("sh", "-c", "ls -A /sys/firmware; echo 0 > /proc/sys/kernel/panic")
    done = one("run", "--bundle", one.bundle, "a", code=1)
    assert "Read-only file system" in done.stderr
    assert not done.stdout


def test_exec_enters_its_root(one: Oci) -> None:
    """With runc and crun it would be the host's."""
    (one.rootfs / "of-the-container").touch()
    one.start("a")
    inside = one("exec", "a", "sh", "-c", "pwd; ls -d /of-the-container; ls /proc/1/root")
    assert inside.stdout.splitlines()[:2] == ["/", "/of-the-container"]
    assert "of-the-container" in inside.stdout.splitlines()[2:]
    one("delete", "--force", "a")


@pytest.mark.parametrize("shared", [True, False])
def test_a_root_that_is_not_pivoted_can_be_left(one: Oci, tmp_path: Path, shared: bool) -> None:
    """The price of it; CAP_SYS_CHROOT is among the usual capabilities."""
    if not shared:
        one.linux["namespaces"].append({"type": "mount"})
    (one.rootfs / "escape").write_bytes(
        compiled(Path(__file__).with_name("chroot.c"), tmp_path).read_bytes()
    )
    (one.rootfs / "escape").chmod(0o755)
    one.write("/escape", str(one.bundle / "config.json"))
    assert one("run", "--bundle", one.bundle, "a").stdout == ("out\n" if shared else "in\n")


def test_nothing_travels_to_namespaces_that_share_the_hosts_mounts(one: Oci) -> None:
    """Only the floor does: an empty, private mount. On most hosts systemd has "/" shared."""
    with (
        namespace("--propagation=shared") as host,
        namespace("--propagation=unchanged", inside=host) as peer,
    ):
        at_host, at_peer = table(host), table(peer)
        one.program = ("nsenter", "--mount", f"--target={host}", *WORDS)
        one.start("a")
        floor, tree, *others = table(host)[len(at_host) :]
        assert table(host)[: len(at_host)] == at_host, "how mounts propagate has changed"
        assert len(others) > 5
        assert " shared:" not in floor + tree
        (travelled,) = table(peer)[len(at_peer) :]
        assert " - tmpfs minirt-oci:a " in travelled
        one("delete", "--force", "a")
        assert (table(host), table(peer)) == (at_host, at_peer)


@pytest.mark.slow
@pytest.mark.parametrize(("actor", "last"), [("init", "root of this process"), ("command", "")])
def test_create_killed_at_each_step_leaves_no_mount(
    one: Oci, ground: Ground, actor: str, last: str
) -> None:
    before, deaths = traces.now(ground), []
    words = ("--root", str(one.root), "create", "--bundle", str(one.bundle), "a")
    one.write("sleep", "100")
    for number in range(1, MOST):
        death = deadly.run_until(
            one.top / "out", actor, number, signal.SIGKILL, *words, program=main.run
        )
        one("delete", "--force", "a")
        left = traces.left_by(ground, before)
        assert not left, f"after {death.step!r}: left {left}"
        if not death.step:
            break
        deaths.append(death.step)
    assert any(last in step for step in deaths), deaths


def test_delete_killed_at_each_step_leaves_no_mount(one: Oci, ground: Ground) -> None:
    before, deaths = traces.now(ground), []
    words = ("--root", str(one.root), "delete", "--force", "a")
    for number in range(1, MOST):
        one.start("a")
        death = deadly.run_until(
            one.top / "out", "command", number, signal.SIGKILL, *words, program=main.run
        )
        one("delete", "--force", "a")
        left = traces.left_by(ground, before)
        assert not left, f"after {death.step!r}: left {left}"
        if not death.step:
            break
        deaths.append(death.step)
    assert "detach the root of the container" in deaths


def test_a_create_that_fails_leaves_no_mount(one: Oci) -> None:
    before = table()
    one.write("no-such-program")
    assert "not found" in one("create", "--bundle", one.bundle, "a", code=1).stderr
    assert table() == before


# ---- one that exists -----------------------------------------------------------------------------


@each_runtime()
def test_a_namespace_given_by_its_path_gets_the_root(one: Oci, runtime: str) -> None:
    """Its processes see the container's root from then on; the caller's mounts are as before."""
    one.program = RUNTIMES[runtime]
    (one.rootfs / "of-the-container").touch()
    with namespace() as keeper:
        path = f"/proc/{keeper}/ns/mnt"
        one.linux["namespaces"].append({"type": "mount", "path": path})
        one.config["mounts"] = [each for each in one.config["mounts"] if each["type"] == "proc"]
        before = table()
        one.start("a")
        pid = one.state("a")["pid"]
        assert Path(f"/proc/{pid}/ns/mnt").readlink() == Path(path).readlink()
        assert Path(f"/proc/{keeper}/root/of-the-container").exists()
        assert one("exec", "a", "ls", "-d", "/of-the-container").stdout == "/of-the-container\n"
        assert table() == before
        one("delete", "--force", "a")
        assert table() == before


def test_its_root_may_exist_there_alone(one: Oci, rootfs: Path) -> None:
    with namespace() as keeper:
        mount = ("mount", "--bind", rootfs, "/mnt")
        shell("nsenter", "--mount", f"--target={keeper}", *mount)
        one.config["root"]["path"] = "/mnt"
        path = f"/proc/{keeper}/ns/mnt"
        one.linux["namespaces"].append({"type": "mount", "path": path})
        one.write("ls", "/bin/busybox")
        assert one("run", "--bundle", one.bundle, "a").stdout == "/bin/busybox\n"


def test_the_callers_own_is_not_pivoted(one: Oci) -> None:
    before = table()
    path = f"/proc/{os.getpid()}/ns/mnt"
    one.linux["namespaces"].append({"type": "mount", "path": path})
    one.start("a")
    assert Path("/proc/1/root").stat() == Path("/").stat()
    assert one("exec", "a", "ls", "/bin/busybox").stdout == "/bin/busybox\n"
    one("delete", "--force", "a")
    assert table() == before


def test_that_of_process_1_is_refused_where_it_is_not_the_callers(one: Oci) -> None:
    one.program = (*APART, *WORDS)
    one.linux["namespaces"].append({"type": "mount", "path": "/proc/1/ns/mnt"})
    one.write("true")
    refused = one("create", "--bundle", one.bundle, "a", code=1)
    assert "the root of the host would be replaced" in refused.stderr
    assert one.is_clean()


def test_a_root_that_is_not_there_is_named(one: Oci) -> None:
    with namespace() as keeper:
        one.config["root"]["path"] = "/nowhere"
        path = f"/proc/{keeper}/ns/mnt"
        one.linux["namespaces"].append({"type": "mount", "path": path})
        one.write("true")
        refused = one("create", "--bundle", one.bundle, "a", code=1)
        assert "root.path: /nowhere: No such file or directory" in refused.stderr
