"""Beside a real dockerd, in a network namespace of its own: both work, and keep apart."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.firewalls import forget_rules
from integration.guests import Guest, guest
from integration.peers import dockerd, needs_peer
from integration.sandbox import (
    Outside,
    in_netns,
    shell,
)
from integration.traces import Ground
from integration.traffic import ask_from, either_bridge, filter_bridges
from integration.wires import served

pytestmark = [needs_peer("dockerd", "docker", "containerd", "runc"), pytest.mark.slow]


@contextlib.contextmanager
def whale(client: list[str], rootfs: Path) -> Iterator[Guest]:
    """Run a container of Docker's that serves at port 80, published at 9090."""
    tar = shell("tar", "-C", rootfs, "-c", ".", "-f", rootfs.parent / "whale.tar")
    assert tar.returncode == 0
    shell(*client, "import", rootfs.parent / "whale.tar", "whale")
    shell(*client, "run", "-d", "--name", "whale", "-p", "9090:80", "whale", "sleep", "1000")
    form = "{{.State.Pid}} {{.NetworkSettings.IPAddress}}"
    pid, address = shell(*client, "inspect", "-f", form, "whale").stdout.split()
    yield Guest("whale", int(pid), {"bridge": {"IPAddress": address}})


@pytest.fixture(autouse=True)
def leave_no_table() -> Iterator[None]:
    yield
    forget_rules()
    shell("ip", "link", "del", "docker0", code=None)


@either_bridge
@pytest.mark.parametrize("order", ["docker first", "minirt first"])
def test_containers_of_both_work_and_meet_at_published_ports_only(
    minirt: Minirt,
    ground: Ground,
    image: str,
    rootfs: Path,
    outside: Outside,
    order: str,
    bridged: str,
) -> None:
    filter_bridges(bridged)
    with contextlib.ExitStack() as stack:
        if order == "minirt first":
            minirt("network", "create", "mynet")
            ours = guest(minirt, "ours", "--net", "mynet", "-p", "8080:80")
        client = stack.enter_context(dockerd(ground))
        filter_bridges(bridged)
        if order == "docker first":
            assert "-P FORWARD DROP" in shell("iptables", "-S").stdout
            minirt("network", "create", "mynet")
            ours = guest(minirt, "ours", "--net", "mynet", "-p", "8080:80")
        peer = guest(minirt, "peer", "--net", "mynet")
        theirs = stack.enter_context(whale(client, rootfs))
        for one in (ours, theirs, peer):
            stack.enter_context(one.serving(80))
        stack.enter_context(served(outside))

        for one in (ours, theirs, peer):
            assert one.ask(outside.address, 90) == outside.host_address
        assert peer.ask(ours.address) == peer.address
        assert ask_from(outside, outside.host_address, 8080) == outside.address
        assert ask_from(outside, outside.host_address, 9090) == outside.address
        # Over the host's published ports, and no other way.
        assert ours.ask(outside.host_address, 9090) not in ("timeout", "Connection refused")
        assert theirs.ask(outside.host_address, 8080) not in ("timeout", "Connection refused")
        assert theirs.ask(peer.address) == "timeout"
        assert peer.ask(theirs.address) == "timeout"  # though that port is published, elsewhere
        in_netns(peer.pid, "ping", "-c1", "-W1", theirs.address, code=1)
        minirt("rm", "-f", "ours", "peer")
        minirt("network", "rm", "mynet")
        assert "MINIRT" not in shell("iptables", "-S").stdout
        assert theirs.ask(outside.address, 90) == outside.host_address
