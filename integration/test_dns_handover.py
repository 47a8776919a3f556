"""A resolver killed or replaced under load: no question is lost, and none answered wrongly."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import SOCK_STREAM

import pytest

from integration.conftest import Minirt
from integration.guests import Guest, guest
from integration.naming import client_in, host_file, resolver_pid, resolver_pids, upstream
from integration.sandbox import PATIENCE, REPOSITORY, needs_tool, shell, started, wait_until
from minirt.state import made, run_dir

pytestmark = needs_tool("dnsperf", "nft")

A = b"\0\1\0\1"
LATE = 3.0 * PATIENCE  # seconds after which a question is lost


@pytest.fixture
def asker(minirt: Minirt, image: str, request: pytest.FixtureRequest) -> Guest:
    """Return a container on net1, with a neighbour called web.

    With the parameter "dnat" it has a user namespace, and minirt leads its queries by DNAT.
    """
    options: tuple[str, ...] = ()
    if getattr(request, "param", "") == "dnat":
        made(run_dir()).joinpath("kernel.json").write_text('{"payload_writes": false}\n')
        options = ("--userns", "private")
    minirt("network", "create", "--subnet", "10.1.0.0/24", "net1")
    guest(minirt, "web", "--net", "net1", "--ip", "10.1.0.7")
    return guest(minirt, "asker", "--net", "net1", *options)


both_rules = pytest.mark.parametrize("asker", ["rewrite", "dnat"], indirect=True)


@dataclass(slots=True)
class Strict:
    """A client that looks at each answer, and asks again as the C library does."""

    pid: int
    answers: int = 0
    again: int = 0
    wrong: bytes = b""
    ended: bool = False

    def ask(self) -> None:
        """Ask, one question after the other, until it is enough."""
        name = b"\3web\0"
        with client_in(self.pid) as client:
            client.settimeout(LATE)
            while not self.ended:
                number = (self.answers % 0x10000).to_bytes(2, "big")
                query = number + b"\1\0\0\1\0\0\0\0\0\0" + name + A
                client.send(query)
                try:
                    answer = client.recv(512)
                except TimeoutError:
                    self.again += 1
                    continue
                if answer[:2] != number or answer[-4:] != bytes([10, 1, 0, 7]):
                    self.wrong = answer
                self.answers += 1


@contextmanager
def load(asker: Guest, folder: Path, *questions: str) -> Iterator[dict[str, int]]:
    """Let dnsperf and a strict client ask during the body; then say what became of it."""
    (folder / "queries").write_text("\n".join(questions) + "\n")
    enter = ("nsenter", f"--net=/proc/{asker.pid}/ns/net")
    words = ("-s", "127.0.0.11", "-d", folder / "queries", "-q", 50, "-c", 4)
    strict = Strict(asker.pid)
    thread = threading.Thread(target=strict.ask)
    found: dict[str, int] = {}
    times = ("-l", f"{60 * PATIENCE:.0f}", "-t", f"{LATE:.0f}")
    with started(*enter, "dnsperf", *words, *times) as asking:
        thread.start()
        try:
            time.sleep(0.3)
            yield found
            time.sleep(LATE + 0.5)  # Until then what is lost is only late.
        finally:
            strict.ended = True
            thread.join()
            asking.send_signal(signal.SIGINT)
            shown, _ = asking.communicate(timeout=20)
    assert not strict.wrong
    for word in ("sent", "completed", "lost"):
        told = re.search(rf"Queries {word}: +(\d+)", shown)
        assert told, shown
        found[word] = int(told[1])
    assert strict.answers > 10
    assert re.search(r"Response codes: +NOERROR \d+ \(100.00%\)\n", shown), shown
    found["again"] = strict.again


def replaced(network: str, number: int) -> int:
    """Send a signal to the resolver, and wait for the next one; return the pid of the old one."""
    (before,) = resolver_pids(network)
    os.kill(before, number)
    wait_until(lambda: set(resolver_pids(network)) - {before}, "another resolver")
    return before


@both_rules
def test_killed_three_times_one_question_each_time_is_asked_again_at_most(
    asker: Guest, tmp_path: Path
) -> None:
    with load(asker, tmp_path, "web A", "asker A", "web AAAA", "web.net1 A") as found:
        for _ in range(3):
            replaced("net1", signal.SIGKILL)
            time.sleep(0.5)
    assert found["lost"] + found["again"] <= 3, found
    assert found["completed"] > 1000


def test_one_that_is_told_to_end_answers_what_it_has_and_nothing_is_lost(
    asker: Guest, tmp_path: Path
) -> None:
    questions = ["web A", "asker A", *(f"n{number}.example A" for number in range(200))]
    with upstream(tmp_path / "log"), host_file("nameserver 127.0.0.53\n", tmp_path):
        with load(asker, tmp_path, *questions) as found:
            for _ in range(3):
                replaced("net1", signal.SIGTERM)
                wait_until(lambda: len(resolver_pids("net1")) == 1, "the end of the old one")
        assert found["lost"] == found["again"] == 0, found


@both_rules
def test_who_asks_over_tcp_has_his_answer_from_the_old_one(asker: Guest, tmp_path: Path) -> None:
    slow = b"\1\0\0\1\0\0\0\0\0\0\4slow\7example\0" + A
    with (
        upstream(tmp_path / "log"),
        host_file("nameserver 127.0.0.53\n", tmp_path),
        client_in(asker.pid, SOCK_STREAM) as client,
    ):
        query = b"\x12\x34" + slow
        client.sendall(len(query).to_bytes(2, "big") + query)
        wait_until(lambda: "slow" in (tmp_path / "log").read_text(), "the question")
        replaced("net1", signal.SIGTERM)
        assert client.recv(512)[2:4] == b"\x12\x34"


def newer(folder: Path) -> Path:
    """Install a later version of minirt somewhere else."""
    top = folder / "newer"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "minirt", top / "minirt", ignore=ignored)
    (top / "minirt/__init__.py").write_text('__version__ = "99.0"\n')
    return top


def test_the_first_container_of_a_newer_version_brings_a_newer_resolver(
    minirt: Minirt, asker: Guest, tmp_path: Path
) -> None:
    later = ("env", "-C", newer(tmp_path), sys.executable, "-m", "minirt")
    assert shell(*later, "--version").stdout.split()[-1] == "99.0"
    run = ("run", "-d", "--net", "net1", "--name")
    first = resolver_pid("net1")
    with load(asker, tmp_path, "web A", "asker A", "web AAAA") as found:
        minirt(*run, "same", "busybox", "sleep", "1000")
        assert resolver_pid("net1") == first  # Control: of one version, one resolver.
        shell(*later, *run, "new", "busybox", "sleep", "1000")
        wait_until(lambda: first not in resolver_pids("net1"), "the end of the old one")
        second = resolver_pid("net1")
    assert found["lost"] == found["again"] == 0, found
    assert str(tmp_path / "newer") in Path(f"/proc/{second}/cmdline").read_text()
    minirt(*run, "old", "busybox", "sleep", "1000")
    shell(*later, *run, "newest", "busybox", "sleep", "1000")
    assert resolver_pid("net1") == second
    for name in ("web", "new", "old", "newest"):
        assert "Address" in minirt("exec", "asker", "nslookup", "-type=a", name).stdout
    assert not (run_dir() / "networks/net1/resolver.log").read_text()
