"""Hooks through the whole lifecycle: config.md, "POSIX-platform Hooks"; runtime.md, "Lifecycle"."""

from __future__ import annotations

import json
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
    words = {"path": "/bin/sh", "args": ["sh", "-c", "cat > /inside; echo startContainer"]}
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
    assert one.said().startswith("startContainer\n")
    assert json.loads((one.rootfs / "inside").read_text())["status"] == "created"


def test_create_container_hooks_run_in_the_bundle(one: Oci) -> None:
    one.create("a", "true")
    assert dict((kind, folder) for kind, folder, _ in told(one))["createContainer"] == str(
        one.bundle
    )
    one("delete", "a")


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
