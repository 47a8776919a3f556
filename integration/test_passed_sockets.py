"""A network namespace outlives its container, if another one holds a socket of it.

The wire of a container goes with its network namespace, which the kernel keeps as long as somebody
has a socket there. A container can pass its sockets to another one, by a volume that both have.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.sandbox import compiled, wait_until

GATEWAY, PORT = "10.7.0.1", 9999


@pytest.fixture(scope="session")
def passer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(Path(__file__).with_name("passer.c"), tmp_path_factory.mktemp("passer"))


@pytest.fixture
def heard(minirt: Minirt, image: str) -> Iterator[socket.socket]:
    """Return a socket of the host's, at the gateway of the network net1."""
    minirt("network", "create", "--subnet", "10.7.0.0/24", "net1")
    minirt("run", "--rm", "--net", "net1", image, "true")  # This makes the bridge.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here:
        here.bind((GATEWAY, PORT))
        here.settimeout(2)
        yield here


def is_heard(here: socket.socket) -> bool:
    """Say whether something comes that was sent from now on, give or take a moment."""
    here.setblocking(False)
    try:
        while here.recv(64):
            pass
    except BlockingIOError:
        here.settimeout(2)
    try:
        return bool(here.recv(64))
    except TimeoutError:
        return False


def passed(minirt: Minirt, image: str, passer: Path, *flags: str) -> None:
    """Start two containers: "taker", without a network, sends through a socket of "giver"."""
    words = ("-v", "shared:/shared", "-v", f"{passer}:/passer:ro")
    minirt("run", "-d", "--name", "taker", "--net", "none", *words, image, "/passer", "take",
           "/shared/socket")  # fmt: skip
    minirt("run", "-d", "--name", "giver", *flags, *words, image, "/passer", "give",
           "/shared/socket", GATEWAY, PORT)  # fmt: skip
    wait_until(lambda: "ready" in minirt("logs", "taker").stdout, "the socket is handed over")


@pytest.mark.parametrize("flags", [(), ("--userns", "private")], ids=["plain", "userns"])
def test_nothing_is_sent_for_a_container_that_has_ended(
    minirt: Minirt, image: str, passer: Path, heard: socket.socket, flags: tuple[str, ...]
) -> None:
    passed(minirt, image, passer, "--net", "net1", *flags)
    assert is_heard(heard)  # The control: as long as it lives.
    minirt("stop", "-t", "0", "giver")
    wait_until(lambda: not is_heard(heard), "silence")
    minirt("start", "giver", code=None)  # The address is free, and the network of use.
    minirt("run", "--rm", "--net", "net1", image, "ping", "-c1", "-W5", GATEWAY)
    assert not is_heard(heard)


def test_nothing_is_sent_for_the_last_of_those_who_share_a_network(
    minirt: Minirt, image: str, passer: Path, heard: socket.socket
) -> None:
    minirt("run", "-d", "--name", "host", "--net", "net1", image, "sleep", "1000")
    passed(minirt, image, passer, "--net", "container:host")
    minirt("rm", "-f", "host")
    assert is_heard(heard)  # The network is that of "giver", too.
    minirt("rm", "-f", "giver")
    wait_until(lambda: not is_heard(heard), "silence")
