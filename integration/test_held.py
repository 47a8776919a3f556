"""A container that stops, traces or floods whatever it can holds no command of the operator."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration import oci
from integration.conftest import Minirt
from integration.oci import Oci
from integration.sandbox import command_lines, compiled, minirt_words, started, wait_until
from integration.traces import Ground
from minirt.container import exec as exec_module
from minirt.runtime import enter

HOLDS = ("stop", "trace", "flood")
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# What isolation.md promises for each of them, in seconds.
AFTER_A_SIGNAL = exec_module.STOPPED + enter.KILL_PATIENCE + 1
AFTER_A_FINAL_ONE = exec_module.GRACE + enter.KILL_PATIENCE + 1


@pytest.fixture(scope="session")
def holder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(Path(__file__).with_name("holder.c"), tmp_path_factory.mktemp("holder"))


@pytest.fixture(params=HOLDS)
def held(request: pytest.FixtureRequest, minirt: Minirt, image: str, holder: Path) -> Iterator[str]:
    """Return the name of a container whose processes are held in one of the ways."""
    minirt("network", "create", "other")
    limits = ("--pids-limit", "30", "--cpus", "0.5", "--memory", "64m")
    mounted = ("-v", f"{holder}:/holder:ro")
    script = f"/holder {request.param} & exec sleep 1000"
    minirt("run", "-d", "--name", "held", *limits, *mounted, image, "sh", "-c", script)
    wait_until(lambda: "ready" in minirt("logs", "--tail", "all", "held").stdout[:100_000], "begin")
    yield request.param
    minirt("rm", "-f", "held", seconds=40)
    assert pid_is_gone("held", minirt)


def pid_is_gone(name: str, minirt: Minirt) -> bool:
    return minirt("inspect", name, code=1).returncode == 1


@pytest.mark.parametrize("number", ENDINGS, ids=lambda n: n.name)
def test_exec_ends_after_a_signal(held: str, number: signal.Signals) -> None:
    with started(*minirt_words("exec", "held", "sleep", "1000")) as child:
        time.sleep(0.5)  # Long enough to be held, wherever that happens.
        child.send_signal(number)
        code = child.wait(timeout=AFTER_A_FINAL_ONE + 5)
    assert code in (128 + number, 137, 1)  # 1: a flood leaves no room for one more process


def test_exec_ends_by_itself_where_nothing_starts(
    minirt: Minirt, image: str, holder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newcomer is stopped for good before it runs the command."""
    monkeypatch.setenv("MINIRT_NO_SERVER", "1")
    mounted = ("-v", f"{holder}:/holder:ro")
    script = "/holder stop & exec sleep 1000"
    minirt("run", "-d", "--net", "none", "--name", "held", *mounted, image, "sh", "-c", script)
    wait_until(lambda: minirt("logs", "held").stdout, "begin")
    with started(*minirt_words("exec", "held", "true")) as child:
        code = child.wait(timeout=enter.PATIENCE + enter.KILL_PATIENCE + 5)
        assert code in (0, 1)  # It got through, or was given up.
        said = child.stderr.read() if child.stderr else ""
        assert "30 seconds" in said if code else not said


def test_a_process_shows_no_command_line_of_the_operator(
    minirt: Minirt, image: str, holder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is stopped, everybody in the container can read /proc/PID/cmdline at leisure."""
    monkeypatch.setenv("MINIRT_NO_SERVER", "1")
    words = ("--net", "none", "-e", "A=very-secret", "-v", f"{holder}:/holder:ro", image)
    script = "/holder stop & exec sleep 1000"
    minirt("run", "-d", "--name", "held", *words, "sh", "-c", script)
    wait_until(lambda: minirt("logs", "held").stdout, "begin")
    exec_words = minirt_words("exec", "-e", "A=very-secret", "held", "sleep", "1000")
    run_words = minirt_words("run", "--rm", "--pid", "container:held", *words, "true")
    with started(*exec_words) as one, started(*run_words) as other:
        time.sleep(2)
        shown = command_lines()
        secret = {pid for pid, line in shown.items() if "A=very-secret" in line}
        assert secret == {one.pid, other.pid}  # what was typed, on the host
        inside = [line for line in shown.values() if line[0].startswith("minirt-")]
        assert inside  # the monitor at least
        one.kill()
        other.terminate()
        other.wait(timeout=10)
    minirt("rm", "-f", "held", seconds=40)


def test_other_verbs_answer(held: str, minirt: Minirt, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("said")
    for words in (
        ("cp", tmp_path / "file", "held:/file"),
        ("cp", "held:/file", tmp_path / "back"),
        ("top", "held"),
        ("stats", "--no-stream", "held"),
        ("diff", "held"),
        ("logs", "--tail", "5", "held"),
        ("update", "--memory", "128m", "held"),
        ("network", "connect", "other", "held"),
        ("network", "disconnect", "other", "held"),
        ("pause", "held"),
        ("unpause", "held"),
        ("kill", "--signal", "USR1", "held"),
        ("restart", "--time", "1", "held"),
        ("stop", "--time", "1", "held"),
    ):
        minirt(*words, seconds=25)
    assert (tmp_path / "back").read_text() == "said"


@pytest.mark.parametrize("number", ENDINGS, ids=lambda n: n.name)
@pytest.mark.parametrize("verb", ["attach", "logs -f", "stats", "wait"])
def test_verbs_that_follow_leave_after_a_signal(
    held: str, verb: str, number: signal.Signals
) -> None:
    words = minirt_words(*verb.split(), "held")
    with started(*words, stdout=subprocess.DEVNULL) as child:
        time.sleep(0.5)
        for _ in range(3 if verb == "attach" else 1):
            child.send_signal(number)
            time.sleep(0.1)
        child.wait(timeout=5)


@pytest.fixture
def bundle(ground: Ground, rootfs: Path) -> Iterator[Oci]:
    """Return a bundle of a container "a", which is deleted after the test."""
    one = oci.make(ground.root / "oci", rootfs)
    yield one
    one("delete", "--force", "a")


def test_minirt_oci_exec_ends_after_three_signals(bundle: Oci, holder: Path) -> None:
    target = bundle.rootfs / "holder"
    target.write_bytes(holder.read_bytes())
    target.chmod(0o755)
    bundle.start("a", "sh", "-c", "/holder stop & exec sleep 1000")
    wait_until(bundle.said, "begin")
    with started(*bundle.words("exec", "a", "sleep", "1000")) as child:
        time.sleep(0.5)
        for _ in range(3):
            child.send_signal(signal.SIGTERM)
            time.sleep(0.2)
        child.wait(timeout=10)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
@pytest.mark.parametrize("is_stopped", [True, False], ids=["stopped", "running"])
def test_one_signal_ends_process_of_minirt_oci_exec_that_is_stopped(
    bundle: Oci, number: signal.Signals, is_stopped: bool
) -> None:
    """A process that runs gets the signal, and may end in its own way."""
    bundle.start("a", "sleep", "1000")
    script = "trap 'sleep 2; exit 7' INT TERM; echo up; while true; do sleep 0.1; done"
    pid_file = bundle.top / "pid"
    with started(*bundle.words("exec", "--pid-file", pid_file, "a", "sh", "-c", script)) as child:
        assert child.stdout and child.stdout.readline() == "up\n"
        wait_until(pid_file.exists, "write the PID")
        pid = int(pid_file.read_text())
        if is_stopped:
            os.kill(pid, signal.SIGSTOP)
        child.send_signal(number)
        assert child.wait(timeout=10) == (128 + signal.SIGKILL if is_stopped else 7)
        assert not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("flags", [(), ("-t",)], ids=["pipe", "terminal"])
def test_what_a_command_leaves_behind_can_print_for_ever(
    minirt: Minirt, image: str, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    """All that the command itself has printed is still there."""
    minirt("run", "-d", "--net", "none", "--name", "box", image, "sleep", "1000")
    script = "trap '' HUP; yes & echo said; exit 3"
    with (tmp_path / "output").open("wb") as output:
        words = minirt_words("exec", *flags, "box", "sh", "-c", script)
        with started(*words, stdout=output) as child:
            assert child.wait(timeout=20) == 3
    assert b"said" in (tmp_path / "output").read_bytes()
    minirt("rm", "-f", "box", seconds=40)
