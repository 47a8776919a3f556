"""Beside firewalld and dockerd at once, who know of each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.firewalls import bus, firewalld, forget_rules, needs_firewalld
from integration.guests import guest
from integration.peers import needs_peer
from integration.sandbox import Outside, in_netns, shell
from integration.test_beside_docker import dockerd, whale
from integration.test_beside_firewalld import CUT_OFF, either_backend
from integration.test_network_traffic import ask_from
from integration.traces import Ground
from integration.wires import served

pytestmark = [
    needs_peer("dockerd", "docker", "containerd", "runc"),
    needs_firewalld(),
    pytest.mark.slow,
]


@pytest.fixture
def where(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Keep a system bus; return the folder of who is to be on it."""
    folder = ground.root.parent / "f"
    folder.mkdir()
    with bus(folder) as address:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
        yield folder
    forget_rules()
    shell("ip", "link", "del", "docker0", code=None)


@either_backend
def test_containers_of_both_work_behind_firewalld_and_meet_at_published_ports_only(
    minirt: Minirt,
    ground: Ground,
    image: str,
    rootfs: Path,
    outside: Outside,
    where: Path,
    backend: str,
) -> None:
    with (
        firewalld(where, backend) as firewall,
        dockerd(ground) as client,
        whale(client, rootfs) as theirs,
        served(outside),
    ):
        assert firewall("--get-zone-of-interface=docker0") == "docker"
        minirt("network", "create", "mynet")
        ours = guest(minirt, "ours", "--net", "mynet", "-p", "8080:80")
        peer = guest(minirt, "peer", "--net", "mynet")
        with ours.serving(80), peer.serving(80), theirs.serving(80):
            for one in (ours, theirs):
                assert one.ask(outside.address, 90) == outside.host_address
            assert peer.ask(ours.address) == peer.address
            assert ask_from(outside, outside.host_address, 8080) == outside.address
            assert ask_from(outside, outside.host_address, 9090) == outside.address
            assert ours.ask(outside.host_address, 9090) not in CUT_OFF
            assert theirs.ask(outside.host_address, 8080) not in CUT_OFF
            for one, other in ((theirs, peer), (peer, theirs)):
                assert one.ask(other.address) in CUT_OFF
                in_netns(one.pid, "ping", "-c1", "-W1", other.address, code=1)
            minirt("rm", "-f", "ours", "peer")
            minirt("network", "rm", "mynet")
            assert theirs.ask(outside.address, 90) == outside.host_address
        assert firewall("--get-zone-of-interface=docker0") == "docker"
