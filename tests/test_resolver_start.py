"""What surrounds the start of a resolver; the start itself is tried in integration/."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from minirt.errors import KernelRefused
from minirt.kernel import locks
from minirt.kernel.sockets import name_in
from minirt.network import resolver_link, resolver_start
from minirt.state import run_dir


def test_a_few_starts_are_fine_and_then_somebody_should_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = locks.acquire(tmp_path / "lock")
    for _ in range(5):
        resolver_start.note(lock)
    with pytest.raises(KernelRefused, match="keeps dying"):
        resolver_start.note(lock)
    monkeypatch.setattr(resolver_start, "_SPAN", 0.0)
    resolver_start.note(lock)
    assert len(os.pread(lock, 1000, 0).split()) == 7  # the version comes first
    os.close(lock)


@pytest.mark.parametrize(
    ("noted", "own", "older"),
    [
        (None, "0.1.0", True),
        ("0.9.2", "0.10.0", True),
        ("0.10.0", "0.10.0", False),
        ("1.0", "0.10.0", False),
    ],
)
def test_an_older_resolver_is_known_by_the_version_that_was_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noted: str | None, own: str, older: bool
) -> None:
    lock = locks.acquire(tmp_path / "lock")
    if noted is not None:
        monkeypatch.setattr(resolver_start, "__version__", noted)
        resolver_start.note(lock)
    monkeypatch.setattr(resolver_start, "__version__", own)
    assert resolver_start.is_older(lock) == older
    os.close(lock)


def test_a_socket_may_lie_deep_and_replaces_that_of_the_dead(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 100) / ("e" * 100)
    folder.mkdir(parents=True)
    resolver_start.listen(folder).close()
    with (
        resolver_start.listen(folder) as listener,
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link,
    ):
        with name_in(folder, resolver_start.SOCKET) as name:
            link.connect(name)
        accepted, _ = listener.accept()
        accepted.close()


def test_an_introduction_arrives_whole_with_its_sockets() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    one, two = socket.socketpair()
    with ours, theirs, one, two:
        networks = [f"network{number}" for number in range(500)]
        pair = (one.fileno(), two.fileno())
        resolver_link.introduce(ours, container="c" * 64, networks=networks, sockets=pair)
        text, fds, _, _ = socket.recv_fds(theirs, 1 << 16, 2)
        assert b'"network499"' in text
        assert len(fds) == 2
        for fd in fds:
            os.close(fd)
        theirs.close()
        with pytest.raises(OSError, match="pipe"):
            resolver_link.introduce(ours, container="c", networks=[])


def test_nobody_is_dismissed_where_nobody_is() -> None:
    assert not run_dir().exists()
    resolver_link.dismiss("nosuch")
    assert not run_dir().exists()


def test_a_monitor_that_imports_the_link_stays_small() -> None:
    heavy = "{'dnslib', 'pyroute2', 'asyncio', 'psutil', 'prctl', 'subprocess', 'click'}"
    program = f"import sys, minirt.network.resolver_link; print({heavy} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b"set()\n"
