"""``pause`` and ``unpause``: by what the processes of the container do meanwhile."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.sandbox import wait_until

pytestmark = pytest.mark.core

COUNT = "i=0; while :; do i=$((i + 1)); echo $i > /tick; sleep 0.01; done"


@pytest.fixture
def ticks(minirt: Minirt, image: str, tmp_path: Path) -> Path:
    """Start a container that counts, and return the file that it counts in."""
    words = ("-d", "--name", "one", "--net", "none", "-v", f"{tmp_path}:/shared")
    minirt("run", *words, image, "sh", "-c", COUNT.replace("/tick", "/shared/tick"))
    file = tmp_path / "tick"
    wait_until(lambda: file.exists() and file.read_text(), "the first tick")
    return file


def moves(file: Path) -> bool:
    """Say whether the count goes on; a write that truncates first shows nothing for a moment."""
    before = file.read_text()
    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline:
        if file.read_text() != before:
            return True
        time.sleep(0.01)
    return False


def show(minirt: Minirt, template: str) -> str:
    return minirt("inspect", "-f", template, "one").stdout.strip()


def test_a_paused_container_stands_still_and_goes_on(minirt: Minirt, ticks: Path) -> None:
    wait_until(lambda: moves(ticks), "the container counts")
    assert minirt("pause", "one").stdout == "one\n"
    assert not moves(ticks)
    state = "{{.State.Status}} {{.State.Running}} {{.State.Paused}} {{.State.ExitCode}}"
    assert show(minirt, state) == "paused true true 0"
    listed = minirt("ps", "--format", "{{.Names}} {{.State}} {{.Status}}").stdout
    assert listed.startswith("one paused Up ") and listed.endswith(" (Paused)\n")
    assert minirt("ps", "-q", "--filter", "status=paused").stdout
    assert not minirt("ps", "-q", "--filter", "status=running").stdout
    assert minirt("unpause", "one").stdout == "one\n"
    wait_until(lambda: moves(ticks), "the container counts again")
    assert show(minirt, state) == "running true false 0"


def test_what_a_paused_container_refuses(minirt: Minirt, ticks: Path) -> None:
    assert "Container one is not paused" in minirt("unpause", "one", code=1).stderr
    minirt("pause", "one")
    for words, sentence in (
        (("pause", "one"), "Container one is already paused"),
        (("exec", "one", "true"), "Container one is paused, unpause the container before exec"),
        (("attach", "one"), "You cannot attach to a paused container, unpause it first"),
        (("start", "one"), "Cannot start a paused container, try unpause instead"),
        (("rm", "one"), "Cannot remove container one: it is paused"),
    ):
        assert sentence in minirt(*words, code=1).stderr
    assert not moves(ticks)
    minirt("logs", "one")
    assert "sh -c" in minirt("top", "one").stdout
    minirt("rm", "-f", "one")
    assert "No such container" in minirt("unpause", "one", code=1).stderr


def test_stop_and_kill_end_a_paused_container_and_other_signals_wait(
    minirt: Minirt, image: str, tmp_path: Path
) -> None:
    script = "trap 'echo usr >> /shared/got' USR1; trap 'exit 7' TERM; touch /shared/up; "
    script += "while :; do sleep 0.05; done"
    words = ("-d", "--name", "one", "--net", "none", "-v", f"{tmp_path}:/shared")
    minirt("run", *words, image, "sh", "-c", script)
    wait_until((tmp_path / "up").exists)
    minirt("pause", "one")
    minirt("kill", "-s", "USR1", "one")
    assert show(minirt, "{{.State.Status}}") == "paused"
    assert not (tmp_path / "got").exists()
    minirt("unpause", "one")
    wait_until((tmp_path / "got").exists, "the signal that waited")
    minirt("pause", "one")
    minirt("stop", "one")
    assert show(minirt, "{{.State.Status}} {{.State.ExitCode}}") == "exited 7"
    minirt("start", "one")
    minirt("pause", "one")
    minirt("kill", "one")
    assert show(minirt, "{{.State.Status}} {{.State.ExitCode}}") == "exited 137"
    assert "Container one is not running" in minirt("pause", "one", code=1).stderr
    assert "Container one is not running" in minirt("unpause", "one", code=1).stderr
    minirt("start", "one")
    minirt("pause", "one")
    minirt("restart", "one")
    assert show(minirt, "{{.State.Status}}") == "running"
