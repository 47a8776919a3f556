"""What DNS tests have of a container: a network namespace, leases, and a resolver's service.

The test itself stands for the monitors: it holds the locks, the sockets and the connections.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from socket import AF_INET, SHUT_RDWR, SOCK_DGRAM, SocketKind, socket
from typing import Any

from integration.sandbox import (
    PATIENCE,
    another_network,
    command_lines,
    in_netns,
    started,
    wait_until,
)
from minirt.kernel import libc, locks, namespaces
from minirt.network import lease_folder, lending, resolver_link
from minirt.network.leases import Facts
from minirt.state import run_dir

UPSTREAM = (sys.executable, Path(__file__).with_name("upstream_server.py"))
_BIND = 4096  # MS_BIND of mount(2)
QUERY = b"\x12\x34\1\0\0\1\0\0\0\0\0\0\3web\0\0\1\0\1"  # for the address of web


@dataclass(frozen=True, slots=True)
class Answer:
    """What dig(1) was told."""

    status: str
    flags: str
    records: list[str]  # the last word of each line of the answer section
    lines: list[str]


@dataclass(slots=True)
class Box:
    """A network namespace with a resolver at 127.0.0.11."""

    pid: int
    sockets: tuple[int, int]
    network: str
    words: dict[str, Any]
    link: socket | None = None
    lender: threading.Thread | None = None
    leases: dict[tuple[str, str], int] = field(default_factory=dict)

    def connect(self) -> None:
        """Do what a monitor does at its start, and again when its resolver was killed."""
        self._disconnect()
        self.link = resolver_link.connect(self.network)
        resolver_link.introduce(self.link, **self.words, sockets=self.sockets)
        if self.words["servers"]:
            self.lender = threading.Thread(target=self._lend, args=(self.link,))
            self.lender.start()

    def _disconnect(self) -> None:
        """Close the connection to the resolver, after the thread that reads from it has ended.

        Closing first would let the thread read from a closed descriptor, or from an unrelated
        socket that was given the same number.
        """
        if self.link is None:
            return
        with contextlib.suppress(OSError):  # The resolver may have closed its end.
            self.link.shutdown(SHUT_RDWR)
        if self.lender is not None:
            self.lender.join()
            self.lender = None
        self.link.close()
        self.link = None

    def _lend(self, link: socket) -> None:
        """Give the resolver the sockets that it asks for, as the monitor's loop does."""
        while True:
            with contextlib.suppress(BlockingIOError, ConnectionError):
                request = link.recv(lending.LONGEST)
                if not request:
                    return
                lending.lend(link, request, self.sockets[0])
            time.sleep(0.001)

    def tell(self, **words: object) -> None:
        """Tell the resolver that something is different now."""
        assert self.link is not None
        self.words |= words
        resolver_link.introduce(self.link, **self.words)

    def dig(self, *words: str) -> Answer:
        """Ask the resolver."""
        shown = ("+nocmd", "+noall", "+comments", "+answer")
        once = ("+tries=1", f"+timeout={6 * PATIENCE:.0f}")
        return parsed(self.run("dig", *shown, *once, "@127.0.0.11", *words).stdout)

    def run(self, *words: object, code: int | None = 0, seconds: float = 20) -> Any:
        """Run a program of the host in the namespace."""
        return in_netns(self.pid, *words, code=code, seconds=seconds)

    def take(self, network: str, address: str, name: str, *names: str) -> None:
        """Hold a lease under these names."""
        folder = lease_folder.made(run_dir() / "networks" / network / "leases")
        self.leases[network, address] = fd = locks.acquire(folder / address)
        os.fchmod(fd, lease_folder.FILE_MODE)
        self.rename(network, address, name, *names)

    def rename(self, network: str, address: str, name: str, *names: str) -> None:
        """Write other names into a lease."""
        fd = self.leases[network, address]
        text = f"{asdict_json(Facts('c' * 64, name, names=[name, *names]))}"
        os.pwrite(fd, text.ljust(os.fstat(fd).st_size).encode(), 0)

    def give_up(self, network: str, address: str) -> None:
        """Let the lease go as the kernel does when its holder dies: the file stays."""
        os.close(self.leases.pop((network, address)))

    def die(self) -> None:
        """Let go of everything, as a monitor that was killed."""
        for network, address in list(self.leases):
            self.give_up(network, address)
        self._disconnect()
        for fd in self.sockets:
            os.close(fd)
        self.sockets = (-1, -1)


def asdict_json(facts: Facts) -> str:
    """Write facts as leases.write does."""
    return json.dumps(asdict(facts))


@contextlib.contextmanager
def box(*networks: str, servers: Sequence[str] = (), **words: object) -> Iterator[Box]:
    """Make a namespace that the resolver of the first network serves during the body."""
    with another_network() as pid:
        with namespaces.network_of(pid) as netns:
            sockets = resolver_link.sockets(netns)
        said = {"container": "c" * 64, "networks": networks, "servers": servers, "bare": True}
        said |= words
        made = Box(pid, sockets, networks[0], said)
        try:
            made.connect()
            yield made
        finally:
            if made.sockets[0] >= 0:
                made.die()
            resolver_link.dismiss(made.network)


@contextlib.contextmanager
def lone_web(folder: Path) -> Iterator[Box]:
    """Make a container web on net1, on a host that has no DNS servers."""
    with host_file("", folder), box("net1") as made:
        made.take("net1", "10.1.0.2", "web")
        yield made


def client_in(pid: int, kind: SocketKind = SOCK_DGRAM) -> socket:
    """Return a socket in the network namespace of ``pid``, connected to its resolver."""
    with namespaces.network_of(pid) as netns, namespaces.inside(netns):
        client = socket(AF_INET, kind)
    client.settimeout(5 * PATIENCE)
    client.connect((resolver_link.ADDRESS, 53))
    return client


@contextlib.contextmanager
def upstream(log: Path, address: str = "127.0.0.53", pid: int | None = None) -> Iterator[None]:
    """Run the test's own DNS server, here or in the network namespace of ``pid``."""
    enter = ("nsenter", f"--net=/proc/{pid}/ns/net") if pid else ()
    log.touch()
    with started(*enter, *UPSTREAM, address, log) as server:
        assert server.stdout and server.stdout.readline() == "up\n"
        yield


@contextlib.contextmanager
def host_file(text: str, folder: Path) -> Iterator[Path]:
    """Put another file over the sandbox's /etc/resolv.conf."""
    path = folder / "resolv.conf"
    path.write_text(text)
    libc.mount(str(path), "/etc/resolv.conf", None, _BIND)
    try:
        yield path
    finally:
        libc.umount2("/etc/resolv.conf", 0)


@contextlib.contextmanager
def host_server(folder: Path) -> Iterator[Path]:
    """Let the host have a DNS server, at 127.0.0.53; return the file with what it is asked."""
    log = folder / "upstream.log"
    with upstream(log), host_file("nameserver 127.0.0.53\n", folder):
        yield log


def resolver_pid(network: str) -> int:
    """Return the process of a network's resolver."""
    found: list[int] = []

    def look() -> bool:
        found[:] = resolver_pids(network)
        return bool(found)

    wait_until(look, f"a resolver of {network}")
    return found[0]


def resolver_pids(network: str) -> list[int]:
    """Return the processes of a network's resolvers: one, or two while one retires."""
    return [
        pid
        for pid, words in command_lines().items()
        if "minirt.network.resolver" in " ".join(words) and network in words
    ]


def descriptors_of(pid: int) -> list[str]:
    """Return what they lead to, but for one that is closed while the folder is read."""
    found = []
    for one in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(str(one.readlink()))
    return found


def parsed(text: str) -> Answer:
    """Read what dig prints."""
    status = re.search(r"status: (\w+)", text)
    flags = re.search(r"flags: ([^;]*);", text)
    lines = [line for line in text.splitlines() if line and not line.startswith(";")]
    assert status and flags, text
    return Answer(status[1], flags[1], [line.split()[-1] for line in lines], lines)
