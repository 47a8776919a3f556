"""A fork server for a test, and commands that it has run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from integration.sandbox import PATIENCE, minirt_words, started, wait_until
from integration.traces import Ground
from integration.warm import commands_of, servers

words = minirt_words


def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    settings = {"capture_output": True, "text": True, "timeout": 30 * PATIENCE} | options
    done: subprocess.CompletedProcess[str] = subprocess.run(  # type: ignore[call-overload]
        words(*arguments), check=False, **settings
    )
    return done


def listening(ground: Ground) -> list[Path]:
    """Return the sockets at which servers can be called: one that only starts has none yet."""
    return list((ground.run / "server").glob("*-*[!k]"))


@pytest.fixture
def server(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Let a command start the server; stop it after the test."""
    monkeypatch.delenv("MINIRT_NO_SERVER")
    assert run("ps").returncode == 0
    wait_until(lambda: listening(ground), "a server")
    wait_until(lambda: servers(ground.run), "a server")
    yield servers(ground.run)[0]
    run("server", "stop")
    wait_until(lambda: not servers(ground.run), "the end of the server")


def parent_of(text: str) -> int:
    return int(next(line for line in text.splitlines() if line.startswith("PPid:")).split()[1])


@contextmanager
def served(server: int, image: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Start container "one"; return its client and the server's child that waited for it.

    On a machine that stalls for longer than a client's patience, the client runs it itself.
    """
    for _ in range(5):
        wait_until(lambda: len(commands_of(server)) == 1, "a child that waits")
        (ready,) = commands_of(server)
        command = ("sh", "-c", "echo ready; sleep 100")
        with started(*words("run", "--name", "one", image, *command)) as typed:
            assert typed.stdout and typed.stdout.readline() == "ready\n"
            if writes_to(ready, typed.stdout.fileno()):
                yield typed, ready
                return
        run("rm", "-f", "one")
    pytest.fail("no client was served in time")


def writes_to(pid: int, pipe: int) -> bool:
    """Say whether the standard output of a process, if it lives, is this pipe of ours."""
    with suppress(OSError):  # It has ended.
        return Path(f"/proc/{pid}/fd/1").stat().st_ino == os.fstat(pipe).st_ino
    return False
