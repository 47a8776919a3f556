"""One more process in a running container."""

from __future__ import annotations

import os
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from integration import bundles
from integration.bundles import Bundle, enter_and_wait
from integration.sandbox import started, wait_until
from integration.traces import Ground
from minirt.errors import (
    CommandNotFound,
    CommandNotRunnable,
    Conflict,
    InvalidRequest,
    MinirtError,
)
from minirt.kernel import cgroups
from minirt.runtime import enter
from minirt.runtime.create import Created
from minirt.runtime.spec import Process, User

STREAMS = ("> pipe:", "> socket:", "> /proc/")  # the last: the folder that ls reads


@pytest.fixture
def bundle(ground: Ground, rootfs: Path) -> Bundle:
    return bundles.make(ground.root / "bundle", rootfs)


def test_it_shares_every_namespace_with_init(bundle: Bundle) -> None:
    script = "for n in /proc/$P/ns/*; do readlink $n; done"
    with bundle.running() as created:
        of_init, of_itself = (
            enter_and_wait(created, "sh", "-c", script.replace("$P", pid)).lines
            for pid in ("1", "self")
        )
    assert of_init == of_itself and len(of_init) > 6


def test_it_has_the_capabilities_and_the_descriptors_of_init(bundle: Bundle) -> None:
    with bundle.running() as created:
        seen = enter_and_wait(created, "sh", "-c", "grep Cap /proc/self/status; ls /proc/self/fd")
    masks = [line.split()[1] for line in seen.lines if line.startswith("Cap")]
    assert masks == ["0" * 16, *["00000000a80425fb"] * 3, "0" * 16]
    assert seen.lines[5:] == ["0", "1", "2", "3"]


def test_its_pid_is_that_of_the_mounted_proc(bundle: Bundle) -> None:
    with bundle.running() as created:
        process = replace(created.spec.process, args=("sleep", "100"))
        entered = enter.enter(created.pidfd, created.pid, process, spec=created.spec)
        assert Path(f"/proc/{entered.pid}/cmdline").read_bytes() == b"sleep\x00100\x00"
        signal.pidfd_send_signal(created.pidfd, signal.SIGKILL)
        # And so init takes it along; init itself is only gone when who started it has noticed.
        assert bundles.collected(entered) == 128 + signal.SIGKILL


@pytest.mark.parametrize(
    ("command", "error"),
    [("no-such-command", CommandNotFound), ("/etc", CommandNotRunnable)],
)
def test_a_command_that_cannot_run_is_refused(
    bundle: Bundle, command: str, error: type[MinirtError]
) -> None:
    with bundle.running() as created, pytest.raises(error):
        enter_and_wait(created, command)


def test_a_missing_interpreter_is_an_error_too(bundle: Bundle) -> None:
    program = bundle.add_layer("programs") / "program"
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)
    with bundle.running() as created, pytest.raises(CommandNotFound, match="interpreter"):
        enter_and_wait(created, "/program")


@pytest.mark.parametrize("path", ["/no/such/folder", *(f"/proc/self/fd/{n}" for n in range(3, 12))])
def test_a_working_directory_that_does_not_exist_is_not_made(bundle: Bundle, path: str) -> None:
    with bundle.running() as created, pytest.raises(InvalidRequest, match="working directory"):
        enter_and_wait(created, "true", cwd=path)
    assert not (bundle.changes / "no").exists()


def test_user_folder_environment_and_umask_are_its_own(bundle: Bundle) -> None:
    with bundle.running() as created:
        seen = enter_and_wait(
            created, "sh", "-c", "id -u; pwd; umask; echo $HOME", cwd="/tmp", user="www"
        )
        numbers = enter_and_wait(
            created,
            "sh",
            "-c",
            "id -u; id -G; umask",
            user=None,
            **{"cwd": "/"},
        )
        other = replace(created.spec.process, user=User(7, 8, (9,), 0o027))
        third = enter_and_wait(replace_process(created, other), "sh", "-c", "id -u; id -G; umask")
    assert seen.lines == ["33", "/tmp", "0022", "/www"]
    assert numbers.lines == ["0", "0", "0022"]
    assert third.lines == ["7", "8 9", "0027"]


def replace_process(created: Created, process: Process) -> Created:
    return replace(created, spec=replace(created.spec, process=process))


def test_it_joins_the_cgroup_before_anything_else(bundle: Bundle) -> None:
    bundle.linux["namespaces"] = [
        one for one in bundle.linux["namespaces"] if one["type"] != "cgroup"
    ]
    group = cgroups.make("one")
    bundle.setting["cgroup"] = group
    with bundle.running() as created:
        assert group.pids() == {created.pid}
        seen = enter_and_wait(created, "cat", "/proc/self/cgroup", cgroup=group)
    paths = {line.split(":")[2] for line in seen.lines}
    assert paths == {f"/{cgroups.base_name()}/one"}
    group.remove()


def test_a_container_that_has_ended_is_no_place_to_go(bundle: Bundle) -> None:
    created = bundle.create("true")
    bundles.started_or_discarded(created)
    os.waitid(os.P_PIDFD, created.pidfd, os.WEXITED | os.WNOWAIT)
    with pytest.raises(Conflict, match="has ended"):
        enter_and_wait(created, "true")
    bundles.collected(created)


def test_a_visitor_shows_nothing_of_the_host(bundle: Bundle) -> None:
    """A process inside watches all others, as root, while visitors come (CVE-2016-9962)."""
    watch = (
        "while :; do for p in /proc/[0-9]*; do"
        " readlink $p/exe; readlink $p/cwd; readlink $p/root; ls -l $p/fd 2>&- | grep -o '> .*';"
        " done; done >> /seen 2>&-"
    )
    null = os.open("/dev/null", os.O_RDWR)
    bundle.setting["stdio"] = (null, null, null)
    with bundle.running("sh", "-c", watch) as created:
        deadline = time.monotonic() + 2
        visits = 0
        while time.monotonic() < deadline or visits < 30:
            assert enter_and_wait(created, "true").code == 0
            visits += 1
        seen = set((bundle.changes / "seen").read_text().splitlines())
        # The control: who joins as nsenter(1) does, of a program of the host's, is seen.
        joining = ("nsenter", f"--target={created.pid}", "--pid", "setpriv", "--bounding-set=-all")
        naive = str(Path(str(shutil.which("sleep"))).resolve())
        with started(*joining, naive, "60"):
            wait_until(lambda: naive in (bundle.changes / "seen").read_text().splitlines())
    os.close(null)
    assert "/bin/busybox" in seen
    harmless = {"/bin/busybox", "/memfd:springboard (deleted)", "/", "> /seen", "> /dev/null"}
    assert {one for one in seen - harmless if not one.startswith(STREAMS)} == set()
