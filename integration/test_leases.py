"""Leases of a container on files that minirt opens (fcntl(2), F_SETLEASE).

A lease makes open(2) of others wait until it is given up; the kernel takes it away after
/proc/sys/fs/lease-break-time, 45 seconds, and the container can take the next one.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.containers import pid_of
from integration.greed import wait_until_ready

KINDS = ("lease-to-read", "lease-to-write")


def leased(minirt: Minirt, image: str, greedy: Path, kind: str, *files: str) -> None:
    """Run the container "one", which has leases on these files."""
    words = ("-v", f"{greedy}:/greedy", image, "/greedy", kind, *files)
    minirt("run", "-d", "--net", "net1", "--name", "one", *words)
    wait_until_ready(minirt)


@pytest.fixture(autouse=True)
def nets(minirt: Minirt) -> None:
    minirt("network", "create", "net1")
    minirt("network", "create", "net2")


@pytest.mark.parametrize("kind", KINDS)
def test_the_lease_holds(minirt: Minirt, image: str, greedy: Path, kind: str) -> None:
    """The control: whoever does not want to wait is told."""
    leased(minirt, image, greedy, kind, "/etc/hosts")
    with pytest.raises(BlockingIOError):
        os.open(f"/proc/{pid_of(minirt, 'one')}/root/etc/hosts", os.O_WRONLY | os.O_NONBLOCK)


@pytest.mark.parametrize("kind", KINDS)
def test_networks_come_and_go(minirt: Minirt, image: str, greedy: Path, kind: str) -> None:
    leased(minirt, image, greedy, kind, "/etc/hosts", "/etc/resolv.conf")
    minirt("network", "connect", "net2", "one", seconds=8)
    assert "eth1" in minirt("exec", "one", "ip", "link").stdout
    minirt("network", "disconnect", "net2", "one", seconds=8)
    assert "eth1" not in minirt("exec", "one", "ip", "link").stdout


def test_a_container_starts_whose_files_another_one_has(
    minirt: Minirt, image: str, greedy: Path
) -> None:
    """With --net container:NAME the two have the same files in /etc."""
    minirt("run", "-d", "--net", "net1", "--name", "host", image, "sleep", "1000")
    words = ("-v", f"{greedy}:/greedy", image, "/greedy", "lease-to-read", "/etc/hosts")
    minirt("run", "-d", "--net", "container:host", "--name", "one", *words)
    wait_until_ready(minirt)
    minirt("restart", "-t", "0", "host", seconds=8)
    assert "localhost" in minirt("exec", "host", "cat", "/etc/hosts").stdout


def test_cp_gives_up(minirt: Minirt, image: str, greedy: Path, tmp_path: Path) -> None:
    leased(minirt, image, greedy, "lease-to-write", "/data")
    said = minirt("cp", "one:/data", tmp_path / "data", code=1, seconds=8).stderr
    assert "lease" in said


def test_files_in_etc_that_are_immutable_are_written(
    minirt: Minirt, image: str, greedy: Path
) -> None:
    words = ("--cap-add", "LINUX_IMMUTABLE", "-v", f"{greedy}:/greedy", "--net", "net1")
    minirt("run", "-d", "--name", "one", *words, image, "sleep", "1000")
    minirt("exec", "one", "/greedy", "protect", "/etc/hosts", "/etc/resolv.conf")
    minirt("exec", "one", "sh", "-c", "echo more >> /etc/hosts", code=1)  # the control
    minirt("network", "connect", "net2", "one")
    assert len(minirt("exec", "one", "cat", "/etc/hosts").stdout.splitlines()) == 8  # one more
    minirt("restart", "-t", "0", "one")
