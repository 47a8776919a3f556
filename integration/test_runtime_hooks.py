"""Hooks: who runs when, where, and with what (config.md, "POSIX-platform Hooks")."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from integration import bundles
from integration.bundles import Bundle
from integration.traces import Ground
from minirt.errors import MinirtError
from minirt.kernel import springboard


@pytest.fixture
def bundle(ground: Ground, rootfs: Path) -> Bundle:
    return bundles.make(ground.root / "bundle", rootfs)


def hook(script: str, **keys: object) -> dict[str, object]:
    return {"path": "/bin/sh", "args": ["sh", "-c", script], **keys}


def test_they_run_in_their_order_and_read_the_state(bundle: Bundle, tmp_path: Path) -> None:
    log = tmp_path / "log"
    note = f"(echo {{}}; cat) | tr '\\n' ' ' >> {log}; echo >> {log}"
    bundle.config["annotations"] = {"a": "b"}
    bundle.config["hooks"] = {
        kind: [hook(note.format(kind))]
        for kind in ("prestart", "createRuntime", "createContainer", "poststart")
    }
    bundle.mount(str(tmp_path), "bind", tmp_path, "rbind")
    assert bundle.run("true").code == 0
    lines = [line.split(" ", 1) for line in log.read_text().splitlines()]
    kinds = [kind for kind, _ in lines]
    assert kinds == ["prestart", "createRuntime", "createContainer", "poststart"]
    states = [json.loads(state) for _, state in lines]
    assert [one["status"] for one in states] == ["creating", "creating", "creating", "running"]
    assert {one["bundle"] for one in states} == {str(bundle.top)}
    assert {one["id"] for one in states} == {"bundle"}
    assert states[0]["pid"] > 1 and states[0]["annotations"] == {"a": "b"}


def test_create_container_hooks_see_the_mounts_and_the_host(bundle: Bundle, tmp_path: Path) -> None:
    script = f"pwd > {tmp_path}/seen; ls proc/self/ >> {tmp_path}/seen"
    bundle.config["hooks"] = {"createContainer": [hook(script)]}
    assert bundle.run("true").code == 0
    seen = (tmp_path / "seen").read_text().split()
    assert seen[0] == str(bundle.top / "rootfs") and "status" in seen


def test_start_container_hooks_run_inside_just_before_the_command(bundle: Bundle) -> None:
    bundle.config["hooks"] = {"startContainer": [hook("echo $A > /hooked", env=["A=from-env"])]}
    assert bundle.run("cat", "/hooked").output == "from-env\n"
    bundle.config["hooks"] = {"startContainer": [hook("echo $B > /hooked")]}
    bundle.process["env"] = ["PATH=/bin", "B=of-the-command"]
    assert bundle.run("cat", "/hooked").output == "of-the-command\n"


@pytest.mark.parametrize("kind", ["prestart", "createContainer", "startContainer", "poststart"])
def test_a_hook_has_three_descriptors_and_no_more(
    bundle: Bundle, tmp_path: Path, kind: str
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    bundle.mount(str(shared), "bind", shared, "bind")
    bundle.config["hooks"] = {kind: [hook(f"ls /proc/self/fd > {shared}/seen")]}
    with (tmp_path / "open").open("w") as held:
        os.set_inheritable(held.fileno(), True)
        assert bundle.run("true").code == 0
        control = subprocess.run(
            ["ls", "/proc/self/fd"], capture_output=True, text=True, check=True, close_fds=False
        )
        assert str(held.fileno()) in control.stdout.split()
    assert set((shared / "seen").read_text().split()) == {"0", "1", "2", "3"}  # 3: the folder


@pytest.mark.parametrize(
    ("trick", "board"), [("script", True), ("symlink", True), ("symlink", False)]
)
def test_a_hook_of_the_image_cannot_reach_the_interpreter(
    bundle: Bundle, trick: str, board: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no springboard, not by a name at least: links are followed, and compared."""
    if not board:
        monkeypatch.setattr(springboard, "make", lambda _line, **_: None)
    hooked = bundle.add_layer("scripts") / "hook"
    if trick == "symlink":
        hooked.symlink_to("/proc/self/exe")
    else:
        hooked.write_text("#!/proc/self/exe\n")
        hooked.chmod(0o755)
    bundle.config["hooks"] = {"startContainer": [{"path": "/hook"}]}
    with pytest.raises(MinirtError, match="/hook ended with 127"):
        bundle.run("true")


@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "createContainer"])
def test_a_hook_that_fails_lets_nothing_be_created(bundle: Bundle, kind: str) -> None:
    bundle.config["hooks"] = {kind: [hook("true"), hook("exit 3")]}
    with pytest.raises(MinirtError, match=f"error running {kind} hook #1: /bin/sh ended with 3"):
        bundle.create("true")


@pytest.mark.parametrize("kind", ["startContainer", "poststart"])
def test_a_hook_that_fails_at_the_start_is_an_error_of_the_start(bundle: Bundle, kind: str) -> None:
    bundle.config["hooks"] = {kind: [hook("exit 3")]}
    with pytest.raises(MinirtError, match=f"error running {kind} hook #0"):
        bundle.run("sleep", "100")


def test_a_hook_that_takes_too_long_is_killed(bundle: Bundle) -> None:
    bundle.config["hooks"] = {"prestart": [hook("exec sleep 100", timeout=1)]}
    with pytest.raises(MinirtError, match="did not end within 1 s"):
        bundle.create("true")


def test_a_hook_that_does_not_exist_fails(bundle: Bundle) -> None:
    bundle.config["hooks"] = {"prestart": [{"path": "/no/such/hook"}]}
    with pytest.raises(MinirtError, match="/no/such/hook ended with 127"):
        bundle.create("true")
