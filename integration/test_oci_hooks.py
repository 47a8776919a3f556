"""Hooks through the whole lifecycle: config.md, "POSIX-platform Hooks"; runtime.md, "Lifecycle"."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from integration import oci
from integration.oci import Oci
from integration.traces import Ground

KINDS = ("prestart", "createRuntime", "createContainer", "poststart", "poststop")


@pytest.fixture
def one(ground: Ground, rootfs: Path) -> Oci:
    made = oci.make(ground.root / "oci", rootfs)
    made.config["annotations"] = {"key": "value"}
    made.config["hooks"] = {kind: [writing(made, kind)] for kind in KINDS}
    # This one runs inside; it gets no state of the host's to write to.
    words = {"path": "/bin/sh", "args": ["sh", "-c", "cat > /inside"]}
    made.config["hooks"]["startContainer"] = [words]
    return made


def writing(one: Oci, kind: str) -> dict[str, Any]:
    """Return a hook that appends its state to a file, with its kind and its folder."""
    told = one.top / "told"
    script = f"""read state; echo "{kind}|$PWD|$state" >> {told}"""
    return {"path": "/bin/sh", "args": ["sh", "-c", script]}


def told(one: Oci) -> list[tuple[str, str, dict[str, Any]]]:
    file = one.top / "told"
    lines = [line.split("|", 2) for line in file.read_text().splitlines()] if file.exists() else []
    return [(kind, folder, json.loads(state)) for kind, folder, state in lines]


def kinds_told(one: Oci) -> list[str]:
    return [kind for kind, _, _ in told(one)]


def test_each_runs_at_its_moment_with_the_state(one: Oci) -> None:
    one.create("a", "sh", "-c", "echo command; sleep 100")
    assert kinds_told(one) == ["prestart", "createRuntime", "createContainer"]
    pid = one.state("a")["pid"]
    one("start", "a")
    assert kinds_told(one)[3:] == ["poststart"]
    one("delete", "--force", "a")
    assert kinds_told(one)[4:] == ["poststop"]
    states = [state for _, _, state in told(one)]
    assert [state["status"] for state in states] == [*["creating"] * 3, "running", "stopped"]
    for state in states:
        assert state["id"] == "a"
        assert state["bundle"] == str(one.bundle)
        assert state["annotations"] == {"key": "value"}
    assert [state["pid"] for state in states] == [pid, pid, 1, pid, 0]
    assert json.loads((one.rootfs / "inside").read_text())["status"] == "created"


def test_they_start_in_the_bundle_and_create_container_hooks_in_the_root(one: Oci) -> None:
    one.start("a", "true")
    one.await_end("a")
    one("delete", "a")
    folders = {kind: folder for kind, folder, _ in told(one)}
    inside = folders.pop("createContainer")
    assert inside == str(one.rootfs)
    assert folders == dict.fromkeys(folders, str(one.bundle))


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("kind", [*KINDS, "startContainer"])
def test_what_a_failing_hook_prints_is_in_the_message(one: Oci, kind: str, terminal: bool) -> None:
    script = "echo to-stdout; echo to-stderr >&2; exit 3"
    one.config["hooks"][kind] = [{"path": "/bin/sh", "args": ["sh", "-c", script]}]
    one.process["terminal"] = terminal
    one.write("true")
    done = one("run", "--bundle", one.bundle, "a", code=0 if kind == "poststop" else 1, input="")
    assert "ended with 3, stdout: to-stdout, stderr: to-stderr" in done.stderr
    assert not done.stdout


def test_what_a_hook_prints_goes_nowhere_if_it_succeeds(one: Oci) -> None:
    for kind in (*KINDS, "startContainer"):
        one.config["hooks"][kind] = [
            {"path": "/bin/sh", "args": ["sh", "-c", "echo said; echo >&2"]}
        ]
    one.write("echo", "command")
    done = one("run", "--bundle", one.bundle, "a")
    assert (done.stdout, done.stderr) == ("command\n", "")


def test_the_end_of_a_long_output_is_shown_and_nobody_waits_for_those_who_stay(one: Oci) -> None:
    file = one.top / "pid"
    script = f"seq 100000 >&2; sleep 100 & echo $! > {file}; echo last >&2; exit 3"
    one.config["hooks"]["createRuntime"] = [
        {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]}
    ]
    one.write("true")
    said = one("create", "--bundle", one.bundle, "a", code=1).stderr
    os.kill(int(file.read_text()), signal.SIGKILL)  # ESRCH if that was waited for
    assert "99999" in said and "last" in said
    assert len(said) < 10_000


@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "createContainer"])
def test_one_that_fails_at_create_undoes_it(one: Oci, kind: str) -> None:
    one.config["hooks"][kind] = [{"path": "/bin/false"}]
    one.write("touch", "/ran")
    failed = one("create", "--bundle", one.bundle, "a", code=1)
    assert f"error running {kind} hook #0" in failed.stderr
    assert one.is_clean()
    assert not (one.rootfs / "ran").exists()
    assert kinds_told(one)[-1:] == ["poststop"]


def test_one_that_fails_inside_keeps_the_command_from_running(one: Oci) -> None:
    one.config["hooks"]["startContainer"] = [{"path": "/bin/false"}]
    one.create("a", "touch", "/ran")
    assert "error running startContainer hook #0" in one("start", "a", code=1).stderr
    one.await_end("a")
    assert not (one.rootfs / "ran").exists()
    one("delete", "a")


def test_one_that_fails_after_the_start_ends_the_container(one: Oci) -> None:
    one.config["hooks"]["poststart"] = [{"path": "/bin/false"}]
    one.create("a", "sleep", "100")
    assert "error running poststart hook #0" in one("start", "a", code=1).stderr
    assert one.is_clean()


def test_one_that_fails_after_the_end_is_only_a_warning(one: Oci) -> None:
    one.config["hooks"]["poststop"] = [{"path": "/bin/false"}, writing(one, "poststop")]
    one.create("a", "true")
    assert "warning" in one("delete", "a").stderr
    assert one.is_clean()
    assert kinds_told(one)[-1:] == ["poststop"]


def test_one_that_does_not_end_in_time_fails(one: Oci) -> None:
    one.config["hooks"]["createRuntime"] = [
        {"path": "/bin/sleep", "args": ["sleep", "100"], "timeout": 1}
    ]
    one.write("true")
    assert "within 1 s" in one("create", "--bundle", one.bundle, "a", code=1).stderr
    assert one.is_clean()
