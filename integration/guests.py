"""Containers as the tests of networks use them: they sleep, and answer at port 80."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

from integration.conftest import Minirt
from integration.sandbox import in_netns, started
from integration.wires import PEER


@dataclass(frozen=True, slots=True)
class Guest:
    """A running container."""

    name: str
    pid: int
    networks: dict[str, dict[str, str]]

    @property
    def address(self) -> str:
        """Return its address in its only network, or in the first by name."""
        return self.networks[min(self.networks)]["IPAddress"]

    def ask(self, host: str, port: int = 80, protocol: str = "tcp") -> str:
        """Ask a server from its network namespace: how it sees us, or why there is no answer."""
        return self.run(*PEER, "ask", protocol, host, port).strip()

    def run(self, *words: object) -> str:
        """Run a program of the host in its network namespace."""
        return in_netns(self.pid, *words).stdout

    @contextlib.contextmanager
    def serving(self, port: int = 80) -> Iterator[None]:
        """Serve TCP and UDP there during the body; each client is told its address."""
        enter = ("nsenter", f"--net=/proc/{self.pid}/ns/net")
        with started(*enter, *PEER, "serve", port) as server:
            assert server.stdout and server.stdout.readline() == "up\n"
            yield


def guest(minirt: Minirt, name: str, *words: object) -> Guest:
    """Run a container that sleeps; ``words`` go before the image."""
    minirt("run", "-d", "--name", name, *words, "busybox", "sleep", "1000")
    return look(minirt, name)


def look(minirt: Minirt, name: str) -> Guest:
    """Return a running container as it is now."""
    (shown,) = json.loads(minirt("inspect", name).stdout)
    return Guest(name, shown["State"]["Pid"], shown["NetworkSettings"]["Networks"])
