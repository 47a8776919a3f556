"""One engine in a world of its own: namespaces, folders, an image, a network, a container "box".

The world waits for orders on its standard input and answers on its standard output, a line of JSON
each; so engines can take turns, and what drifts on the machine meets all alike.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.engines import ENGINES, KINDS, REPOSITORY, Engine, groups, remove_groups

PATIENCE = 300  # seconds that one order may take


@dataclass(frozen=True, slots=True)
class World:
    """What a measurement has, inside."""

    engine: Engine
    program: list[str]
    folder: Path

    def spoken(self, words: str) -> list[str]:
        """Return Docker's words as a command line of this engine."""
        return [*self.program, *shlex.split(self.engine.words(words))]

    def call(self, words: str) -> str:
        """Say Docker's words to the engine; return what it prints. Raises RuntimeError."""
        done = subprocess.run(
            self.spoken(words), capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{words}: {done.stderr.strip()[-300:]}")
        return done.stdout


class Peer:
    """The same, seen from outside."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        words = [sys.executable, "-m", "bench", "--inside", str(folder), name]
        self._process = subprocess.Popen(
            ["unshare", *KINDS, *words],
            cwd=REPOSITORY,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.version = str(self._hear()["version"])

    def measure(self, row: int, count: int) -> dict[str, Any]:
        """Let it measure a row ``count`` times: {"values": […]} or {"error": "…"}."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"row": row, "count": count}) + "\n")
        self._process.stdin.flush()
        return self._hear()

    def leave(self) -> None:
        """Let it clean up, and end."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(PATIENCE)

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"bench: the world of {self.name} has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def worlds(names: list[str]) -> Iterator[list[Peer]]:
    """Start a world for each engine; end them, and remove their cgroups, afterwards."""
    before = groups()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        peers = []
        for name in names:
            (Path(folder) / name).mkdir()
            peers.append(Peer(name, Path(folder) / name))
        yield peers
        for peer in peers:
            peer.leave()
    remove_groups(groups() - before)


def live(name: str, folder: Path) -> None:
    """Bring an engine to run, and measure what is asked for."""
    from bench.rows import ROWS

    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    world = World(ENGINES[name], ENGINES[name].start(folder), folder)
    tar = folder / "busybox.tar"
    subprocess.run([REPOSITORY / "rootfs-tools" / "busybox", tar], check=True, capture_output=True)
    world.call(f"import {tar} busybox")
    world.call("network create mynet")
    world.call("run -d --name box --network mynet busybox sleep 9999")
    version = subprocess.run([world.program[0], "--version"], capture_output=True, check=False)
    _say(version=version.stdout.decode().strip().split("\n")[0])
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            _say(values=ROWS[asked["row"]].measure(world, asked["count"]))
        except (RuntimeError, subprocess.SubprocessError, OSError) as error:
            _say(error=str(error)[-300:])
    world.call("rm -f box")
    world.call("network rm mynet")


def _say(**words: Any) -> None:
    print(json.dumps(words), flush=True)
