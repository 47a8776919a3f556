"""Beside firewalld and dockerd at once, who know of each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.firewalls import needs_firewalld
from integration.guests import guest
from integration.peers import dockerd, needs_peer
from integration.sandbox import Outside, in_netns
from integration.test_beside_docker import leave_no_table, whale
from integration.test_beside_firewalld import CUT_OFF, Start, either_backend, start
from integration.traces import Ground
from integration.traffic import ask_from
from integration.wires import served

__all__ = ["leave_no_table", "start"]  # fixtures
pytestmark = [
    needs_peer("dockerd", "docker", "containerd", "runc"),
    needs_firewalld(),
    pytest.mark.slow,
]


@either_backend
def test_containers_of_both_work_behind_firewalld_and_meet_at_published_ports_only(
    minirt: Minirt,
    ground: Ground,
    image: str,
    rootfs: Path,
    outside: Outside,
    start: Start,
    backend: str,
) -> None:
    with (
        start(backend) as firewall,
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
