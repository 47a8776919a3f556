"""kill, delete and run, and what is said of mistakes: runtime.md, "Operations"."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from integration import oci
from integration.oci import Oci
from integration.sandbox import started, wait_until
from integration.traces import Ground


@pytest.fixture
def one(ground: Ground, rootfs: Path) -> Oci:
    return oci.make(ground.root / "oci", rootfs)


# ---- kill --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "told"),
    [((), "TERM"), (("HUP",), "HUP"), (("SIGUSR1",), "USR1"), (("10",), "USR1"), (("int",), "INT")],
)
def test_kill_sends_names_and_numbers(one: Oci, words: tuple[str, ...], told: str) -> None:
    traps = "; ".join(f"trap 'echo {name}; exit' {name}" for name in ["TERM", "HUP", "USR1", "INT"])
    one.start("a", "sh", "-c", f"{traps}; echo ready; while :; do sleep 0.05; done")
    wait_until(lambda: "ready" in one.said())
    one("kill", "a", *words)
    one.await_end("a")
    assert one.said() == f"ready\n{told}\n"
    one("delete", "a")


def test_a_stopped_container_can_not_be_killed_unless_all_of_it_is(one: Oci) -> None:
    one.start("a", "true")
    one.await_end("a")
    before = one("state", "a").stdout
    assert "container not running" in one("kill", "a", "KILL", code=1).stderr
    assert not one("kill", "--all", "a", "KILL").stderr
    assert one("state", "a").stdout == before
    assert json.loads(before)["pid"] == 0
    one("delete", "a")


@pytest.mark.parametrize("name", ["SIGNOTHING", "99", "-9", ""])
def test_an_unknown_signal_is_refused_and_changes_nothing(one: Oci, name: str) -> None:
    one.start("a")
    before = one("state", "a").stdout
    assert "unknown signal" in one("kill", "a", name, code=1).stderr
    assert one("state", "a").stdout == before
    one("delete", "--force", "a")


@pytest.mark.parametrize("words", [("kill", "a", "KILL"), ("delete", "--force", "a")])
def test_without_a_pid_namespace_all_of_it_dies(one: Oci, words: tuple[str, ...]) -> None:
    """Also when init is gone: then only the cgroup knows the others."""
    one.share("pid")
    one.start("a", "sh", "-c", "sleep 100 & echo started; wait")
    wait_until(lambda: "started" in one.said())
    pids = json.loads(one("ps", "--format", "json", "a").stdout)
    assert len(pids) == 2
    os.kill(one.state("a")["pid"], signal.SIGKILL)
    one.await_end("a")
    one(*words)
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
    one("delete", "--force", "a")


# ---- delete ------------------------------------------------------------------------------------


def test_what_runs_is_only_deleted_by_force(one: Oci) -> None:
    one.start("a")
    assert "not stopped" in one("delete", "a", code=1).stderr
    assert one.status("a") == "running"
    one("delete", "--force", "a")
    assert one.is_clean()


def test_what_is_created_is_killed_and_deleted(one: Oci) -> None:
    one.create("a", "touch", "/ran")
    one("delete", "a")
    assert one.is_clean()
    assert not (one.rootfs / "ran").exists()


def test_deleting_what_is_not_there_fails_unless_forced(one: Oci) -> None:
    assert "does not exist" in one("delete", "a", code=1).stderr
    one("delete", "--force", "a")


@pytest.mark.parametrize("verb", ["state", "kill", "start", "pause", "resume", "ps", "events"])
def test_an_unknown_container_is_an_error(one: Oci, verb: str) -> None:
    assert "container 'a' does not exist" in one(verb, "a", code=1).stderr


def test_an_id_can_be_used_again(one: Oci) -> None:
    for _ in range(2):
        one.start("a", "echo", "again")
        one.await_end("a")
        one("delete", "a")
    assert one.said() == "again\nagain\n"


# ---- run ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "code"), [("exit 7", 7), ("kill -9 $$", 137), ("kill -15 $$; sleep 9", 143)]
)
def test_run_returns_the_exit_code_and_leaves_nothing(one: Oci, command: str, code: int) -> None:
    one.share("pid")  # process 1 of a PID namespace can't kill itself
    one.write("sh", "-c", command)
    one("run", "--bundle", one.bundle, "a", code=code)
    assert one.is_clean()


def test_run_passes_input_and_output_through(one: Oci) -> None:
    one.write("cat")
    assert one("run", "--bundle", one.bundle, "a", input="words").stdout == "words"


@contextmanager
def ready(one: Oci, script: str) -> Iterator[subprocess.Popen[str]]:
    """Run a script in container "a" until it says that it is ready."""
    one.write("sh", "-c", script)
    with started(*one.words("run", "--bundle", one.bundle, "a")) as running:
        assert running.stdout and running.stdout.readline() == "ready\n"
        yield running


def test_run_passes_signals_on(one: Oci) -> None:
    with ready(one, "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done") as running:
        running.terminate()
        assert running.wait() == 9


def test_run_detached_leaves_it_running(one: Oci) -> None:
    one.write("sleep", "100")
    words = one.words("run", "--detach", "--bundle", one.bundle, "a")
    subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    assert one.status("a") == "running"
    one("delete", "--force", "a")


def test_run_keeps_it_when_told_so(one: Oci) -> None:
    one.write("true")
    one("run", "--keep", "--bundle", one.bundle, "a")
    assert one.status("a") == "stopped"
    assert "already exists" in one("run", "--keep", "--bundle", one.bundle, "a", code=1).stderr
    assert one.status("a") == "stopped"
    one("delete", "a")


def test_a_killed_run_leaves_the_container_running(one: Oci) -> None:
    with ready(one, "echo ready; sleep 100") as running:
        running.kill()
    assert one.status("a") == "running"
    one("delete", "--force", "a")


# ---- messages ----------------------------------------------------------------------------------


def test_errors_are_lines_of_json_in_the_log_and_a_sentence_on_standard_error(one: Oci) -> None:
    log = one.top / "log"
    done = one("--log", log, "--log-format", "json", "start", "a", code=1)
    assert done.stderr == "container 'a' does not exist\n"
    (line,) = [json.loads(text) for text in log.read_text().splitlines()]
    assert line["level"] == "error"
    assert line["msg"] == "container 'a' does not exist"
    assert line["time"].endswith("Z")


def test_debugging_tells_steps_into_the_log_only(one: Oci) -> None:
    log = one.top / "log"
    one.write("true")
    done = one("--log", log, "--debug", "run", "--bundle", one.bundle, "a")
    assert done.stderr == ""
    assert "level=debug" in log.read_text()
    assert "pivot_root" in log.read_text()


@pytest.mark.parametrize("words", [("--log-format", "xml", "list"), ("state",), ("nonsense",)])
def test_what_is_asked_wrongly_fails(one: Oci, words: tuple[str, ...]) -> None:
    assert one(*words, code=1).stderr


@pytest.mark.parametrize("verb", ["checkpoint", "restore"])
def test_there_is_no_checkpoint(one: Oci, verb: str) -> None:
    assert "not supported" in one(verb, "a", code=1).stderr
