"""create, start and state: runtime.md, "Lifecycle" and "Operations"."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from integration import oci
from integration.oci import Oci
from integration.sandbox import shell, wait_until
from integration.traces import Ground


@pytest.fixture
def one(ground: Ground, rootfs: Path) -> Oci:
    return oci.make(ground.root / "oci", rootfs)


# ---- create ------------------------------------------------------------------------------------


def test_create_does_not_run_the_command(one: Oci) -> None:
    one.create("a", "touch", "/ran")
    assert one.status("a") == "created"
    assert not (one.rootfs / "ran").exists()
    one("start", "a")
    one.await_end("a")
    assert (one.rootfs / "ran").exists()
    one("delete", "a")


def test_the_state_has_what_the_specification_wants(one: Oci) -> None:
    one.config["annotations"] = {"org.example.key": "value"}
    one.create("a")
    state = one.state("a")
    assert state["ociVersion"] == "1.2.0"
    assert state["id"] == "a"
    assert state["bundle"] == str(one.bundle)
    assert state["annotations"] == {"org.example.key": "value"}
    assert Path(f"/proc/{state['pid']}").is_dir()
    one("delete", "a")


def test_later_changes_of_the_config_have_no_effect(one: Oci) -> None:
    one.create("a", "echo", "before")
    one.write("echo", "after")
    one("start", "a")
    one.await_end("a")
    assert one.said() == "before\n"
    one("delete", "a")


@pytest.mark.parametrize("target", ["/", "/proc/self/root", "../" * 40])
def test_a_rootfs_that_is_a_symlink_to_the_hosts_root_is_refused(one: Oci, target: str) -> None:
    one.rootfs.rename(one.bundle / "real")
    one.rootfs.symlink_to(target)
    one.write("true")
    failed = one("create", "--bundle", one.bundle, "a", code=1)
    assert "root.path" in failed.stderr and "symlink" in failed.stderr
    assert one.is_clean()


@pytest.mark.parametrize("path", ["/", "../" * 40])
def test_the_hosts_root_as_the_root_is_refused(one: Oci, path: str) -> None:
    one.config["root"]["path"] = path
    one.write("true")
    failed = one("create", "--bundle", one.bundle, "a", code=1)
    assert "root.path" in failed.stderr and "the root directory of this host" in failed.stderr
    assert one.is_clean()


def run_and_exchange_the_rootfs(one: Oci, target: str | Path) -> subprocess.CompletedProcess[str]:
    """Replace the rootfs when the config has been read and checked.

    A path becomes the rootfs; a text becomes the target of a symlink in its place.

    That is when its copy is in the state folder; init opens the rootfs some milliseconds later.
    """
    one.write("cat", "/whose")
    (one.rootfs / "whose").write_text("the container's")
    if isinstance(target, Path):
        target.rename(one.bundle / "new")
    else:
        (one.bundle / "new").symlink_to(target)
    words = one.words("run", "--bundle", one.bundle, "a")
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True) as running:
        while not (one.root / "a/config.json").exists() and running.poll() is None:
            pass
        one.rootfs.rename(one.bundle / "real")
        (one.bundle / "new").rename(one.rootfs)
        said, complaint = running.communicate(timeout=60)
    return subprocess.CompletedProcess(words, running.returncode, said, complaint)


def test_a_rootfs_that_becomes_a_symlink_to_the_hosts_root_is_refused(one: Oci) -> None:
    failed = run_and_exchange_the_rootfs(one, "/")
    assert failed.returncode == 1
    assert "root.path" in failed.stderr and "symlink" in failed.stderr
    assert one.is_clean()


def test_a_rootfs_that_becomes_another_folder_is_that_folder(one: Oci) -> None:
    """The control: the exchange comes before init opens the rootfs."""
    other = one.bundle / "other"
    shell("cp", "-a", one.rootfs, other)
    (other / "whose").write_text("another one")
    assert run_and_exchange_the_rootfs(one, other).stdout == "another one"


def test_a_missing_program_fails_at_create_and_leaves_nothing(one: Oci) -> None:
    one.write("no-such-program")
    failed = one("create", "--bundle", one.bundle, "a", code=1)
    assert "executable file not found in $PATH" in failed.stderr
    assert one.is_clean()


@pytest.mark.parametrize(
    ("path", "why"),
    [("/no/such", "no such file or directory"), ("/etc/passwd", "permission denied")],
)
def test_its_callers_can_tell_127_from_126(one: Oci, path: str, why: str) -> None:
    one.write(path)
    assert why in one("create", "--bundle", one.bundle, "a", code=1).stderr


def test_an_id_that_is_used_is_refused_and_its_owner_unharmed(one: Oci) -> None:
    one.start("a")
    pid = one.state("a")["pid"]
    for verb in ("create", "run"):
        refused = one(verb, "--bundle", one.bundle, "a", code=1)
        assert "already exists" in refused.stderr
    assert (one.state("a")["pid"], one.status("a")) == (pid, "running")
    one("delete", "--force", "a")


@pytest.mark.parametrize("name", ["", ".", "..", ".a", "a/b", "a b", "../a", "a\n"])
def test_an_id_that_could_be_more_than_a_name_is_refused(one: Oci, name: str) -> None:
    one.write("true")
    refused = one("create", "--bundle", one.bundle, name, code=1)
    assert "invalid" in refused.stderr
    assert "container ID" in refused.stderr


def test_a_config_that_makes_no_sense_is_refused_before_anything_is_made(one: Oci) -> None:
    one.linux["namespaces"].append({"type": "user"})
    one.write("true")
    assert "user namespace" in one("create", "--bundle", one.bundle, "a", code=1).stderr
    assert one.is_clean()


def test_a_bundle_without_a_process_is_refused(one: Oci) -> None:
    del one.config["process"]
    one.write()
    assert "process is missing" in one("create", "--bundle", one.bundle, "a", code=1).stderr
    assert one.is_clean()


def test_the_working_directory_is_the_default_bundle(one: Oci) -> None:
    one.write("true")
    subprocess.run(one.words("run", "a"), cwd=one.bundle, check=True)


# ---- start -------------------------------------------------------------------------------------


def test_only_what_is_created_can_be_started(one: Oci) -> None:
    assert "does not exist" in one("start", "a", code=1).stderr
    one.start("a", "sh", "-c", "echo once; sleep 100")
    assert "already running" in one("start", "a", code=1).stderr
    wait_until(lambda: one.said() == "once\n")
    one("kill", "a", "KILL")
    one.await_end("a")
    assert "has stopped" in one("start", "a", code=1).stderr
    assert one.said() == "once\n"
    one("delete", "a")


def test_of_two_starts_at_once_one_succeeds(one: Oci) -> None:
    one.create("a", "sh", "-c", "echo once; sleep 100")
    both = [subprocess.Popen(one.words("start", "a"), stderr=subprocess.DEVNULL) for _ in range(2)]
    assert sorted(child.wait() for child in both) == [0, 1]
    wait_until(lambda: one.said() == "once\n")
    one("delete", "--force", "a")


def test_what_only_execve_can_refuse_is_an_error_of_start(one: Oci) -> None:
    program = one.rootfs / "bin/broken"
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)
    one.create("a", "broken")
    assert "interpreter" in one("start", "a", code=1).stderr
    one.await_end("a")
    one("delete", "a")


def test_init_that_died_before_the_start_does_not_make_it_hang(one: Oci) -> None:
    one.create("a", "sleep", "100")
    one("kill", "a", "KILL")
    assert one("start", "a", code=1).stderr
    one("delete", "a")


def test_a_created_container_can_be_told_to_end(one: Oci) -> None:
    one.create("a", "sleep", "100")
    one("kill", "a", "TERM")
    one.await_end("a")
    one("delete", "a")


def test_nobody_waits_for_the_container_who_has_created_it(one: Oci) -> None:
    """Init lives on, a child of who adopts it, and nobody's death takes it along."""
    one.start("a")
    pid = one.state("a")["pid"]
    status = Path(f"/proc/{pid}/status").read_text()
    assert "PPid:\t1\n" in status  # the init of the sandbox
    one("delete", "--force", "a")


@pytest.mark.parametrize("kind", ["network", "ipc", "uts", "pid", "mount", "user", "cgroup"])
@pytest.mark.parametrize("file", ["fifo", "directory", "null device"])
def test_namespace_path_of_no_namespace_is_refused_in_time(
    one: Oci, tmp_path: Path, kind: str, file: str
) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    path = {"fifo": path, "directory": tmp_path, "null device": Path("/dev/null")}[file]
    one.share(kind)
    one.linux["namespaces"].append({"type": kind, "path": str(path)})
    one.write("true")
    words = one.words("create", "--bundle", one.bundle, "a")
    done = subprocess.run(words, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert str(path) in done.stderr or "namespace" in done.stderr
    assert one.is_clean()


def test_open_of_a_fifo_waits_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run(["cat", tmp_path / "fifo"], timeout=0.5, check=False)
