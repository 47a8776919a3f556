"""What a power cut must not take is on the disk before the command answers, its name, too."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.sandbox import needs_tool
from integration.traces import Ground

pytestmark = [needs_tool("strace"), pytest.mark.in_process]  # strace sees only what it starts.

CALLS = "fsync,rename,link,symlink,unlink,rmdir"
FLUSHED = re.compile(r"fsync\(\d+<(.*?)>")
SIXTY_FOUR = re.compile(r"[0-9a-f]{64}")
Traced = Callable[..., list[str]]


@pytest.fixture
def traced(ground: Ground, tmp_path: Path) -> Traced:
    """Return what runs a command and tells what it did to the root directory, ids left out."""

    def run(*words: str) -> list[str]:
        trace = tmp_path / "trace"
        minirt = [sys.executable, "-m", "minirt", *words]
        call = ["strace", "-f", "-qq", "-y", "-e", f"trace={CALLS}", "-o", str(trace), *minirt]
        environment = {**os.environ, "MINIRT_NO_SERVER": "1"}
        subprocess.run(call, check=True, timeout=60, capture_output=True, env=environment)
        lines = [SIXTY_FOUR.sub("ID", line) for line in trace.read_text().splitlines()]
        return [
            line.replace(f"{ground.root}", "ROOT") for line in lines if str(ground.root) in line
        ]

    return run


def flushed_last(lines: list[str], change: str) -> set[str]:
    """Return what was flushed after the last line with this change."""
    last = max(number for number, line in enumerate(lines) if change in line)
    return {found[1] for line in lines[last:] if (found := FLUSHED.search(line))}


NEW_CONTAINER = {
    "ROOT/containers/ID/record.json",
    "ROOT/containers/ID",
    "ROOT/containers",
    "ROOT/names",
}


@pytest.mark.parametrize("verb", ["create", "run"])
def test_a_new_container(minirt: Minirt, image: str, traced: Traced, verb: str) -> None:
    lines = traced(verb, "--net", "none", "--name", "web", image, "true")
    assert flushed_last(lines, "ROOT/names/web") >= NEW_CONTAINER
    minirt("rm", "web")


def test_of_one_that_goes_with_its_end_nothing(image: str, traced: Traced) -> None:
    lines = traced("run", "--rm", "--net", "none", image, "true")
    assert any("ROOT/names" in line for line in lines)
    assert [line for line in lines if FLUSHED.search(line)] == []


def test_another_name(minirt: Minirt, image: str, traced: Traced) -> None:
    minirt("create", "--name", "old", image, "true")
    lines = traced("rename", "old", "new")
    (named,) = (number for number, line in enumerate(lines) if "symlink" in line)
    (written,) = (number for number, line in enumerate(lines) if '/record.json"' in line)
    assert any(FLUSHED.findall(line) == ["ROOT/names"] for line in lines[named:written])
    assert "ROOT/containers/ID" in flushed_last(lines, "/record.json")
    minirt("rm", "new")


def test_a_network(minirt: Minirt, traced: Traced) -> None:
    minirt("network", "create", "first")  # so "bridge" has its spec
    lines = traced("network", "create", "net1")
    (linked,) = (number for number, line in enumerate(lines) if "ROOT/networks/net1.json" in line)
    assert any("fsync" in line and "/.new-ID" in line for line in lines[:linked])
    assert "ROOT/networks" in flushed_last(lines, "/.new-ID")
    minirt("network", "rm", "first", "net1")


def test_a_volume(minirt: Minirt, traced: Traced) -> None:
    assert "ROOT/volumes" in flushed_last(traced("volume", "create", "data"), "ROOT/volumes/data")
    minirt("volume", "rm", "data")
