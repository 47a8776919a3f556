"""A UDP client that never pauses, and the container behind the published port that is replaced.

The packet filter remembers where a flow's first packet went for as long as somebody sends
(moby's issues 8795, 44688): whoever changes the way has to have it forgotten.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.containers import monitor_of, pid_of
from integration.guests import Guest, guest
from integration.sandbox import Outside, shell, started, wait_until

# Sends every 10 ms from one port; writes down how often it was answered.
SENDER = """
import socket, sys, time
host, port, count = sys.argv[1], int(sys.argv[2]), 0
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
one.connect((host, port))
one.settimeout(0.01)
print("up", flush=True)
while True:
    try:
        one.send(b"?")
        one.recv(100)
        count += 1
        open(sys.argv[3], "w").write(str(count))
        time.sleep(0.01)
    except ConnectionRefusedError:
        time.sleep(0.01)
    except TimeoutError:
        pass
"""

pytestmark = pytest.mark.usefixtures("image")


@contextlib.contextmanager
def sender(outside: Outside, tmp_path: Path) -> Iterator[Callable[[], int]]:
    """Keep a client sending from outside; give what counts the answers that it gets."""
    count = tmp_path / "count"
    words = (sys.executable, "-I", "-c", SENDER, outside.host_address, 8080, count)
    with started(*outside.enter(), *words) as client:
        assert client.stdout and client.stdout.readline() == "up\n"

        def answers() -> int:
            with contextlib.suppress(FileNotFoundError, ValueError):
                return int(count.read_text())
            return 0

        yield answers


def is_answered(answers: Callable[[], int]) -> None:
    before = answers()
    wait_until(lambda: answers() > before, "an answer")


def server(minirt: Minirt, name: str) -> Guest:
    return guest(minirt, name, "--net", "mynet", "-p", "8080:80/udp")


def remove(minirt: Minirt, name: str) -> None:
    minirt("rm", "-f", name)


def kill_its_monitor(minirt: Minirt, name: str) -> None:
    """Leave the element of its port behind, until the next command sweeps it."""
    init = pid_of(minirt, name)
    os.kill(monitor_of(minirt, name), signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{init}").exists(), "its end")


@pytest.mark.parametrize("end", [remove, kill_its_monitor])
def test_a_client_that_never_pauses_reaches_the_container_that_replaces_its_server(
    minirt: Minirt, outside: Outside, tmp_path: Path, end: Callable[[Minirt, str], None]
) -> None:
    minirt("network", "create", "--subnet", "10.88.0.0/24", "mynet")
    with sender(outside, tmp_path) as answers:  # The first packets find nobody.
        first = server(minirt, "first")
        with first.serving(80):
            is_answered(answers)
        end(minirt, "first")
        guest(minirt, "heir", "--net", "mynet", "--ip", first.address)
        second = server(minirt, "second")
        assert second.address != first.address
        with second.serving(80):
            is_answered(answers)


def test_a_client_that_never_pauses_follows_the_port_to_another_network(
    minirt: Minirt, outside: Outside, tmp_path: Path
) -> None:
    minirt("network", "create", "mynet")
    minirt("network", "create", "other")
    with sender(outside, tmp_path) as answers:
        one = server(minirt, "one")
        minirt("network", "connect", "other", "one")
        with one.serving(80):
            is_answered(answers)
            minirt("network", "disconnect", "mynet", "one")
            is_answered(answers)


def test_no_flow_of_a_removed_container_is_left(
    minirt: Minirt, outside: Outside, tmp_path: Path
) -> None:
    minirt("network", "create", "mynet")
    with sender(outside, tmp_path) as answers:
        one = server(minirt, "one")
        with one.serving(80):
            is_answered(answers)
    minirt("rm", "-f", "one")
    assert one.address not in shell("conntrack", "-L", "-p", "udp", "--dport", "8080").stdout
