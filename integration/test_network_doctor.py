"""Each ailment is found, and its mend, typed as it is printed, mends it."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from integration.conftest import Minirt
from integration.containers import pid_of
from integration.guests import Guest, guest
from integration.naming import host_file, resolver_pid
from integration.sandbox import (
    Outside,
    another_network,
    in_netns,
    needs_file,
    needs_tool,
    shell,
    wait_until,
)
from integration.traces import Ground
from integration.traffic import BRIDGED, filter_bridges
from minirt.kernel import locks

NO_ICC = "com.docker.network.bridge.enable_icc=false"


@dataclass(frozen=True, slots=True)
class Patient:
    """A network with a container, and its bridge."""

    guest: Guest
    bridge: str
    wire: str

    def break_(self, command: str) -> None:
        """Run a command in which the names are filled in."""
        words = {"bridge": self.bridge, "wire": self.wire, "pid": self.guest.pid}
        words["inside"] = f"nsenter --net=/proc/{self.guest.pid}/ns/net"
        shell("sh", "-ec", command.format(**words))


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Return what types a command into a shell in which there is a minirt."""
    program = tmp_path / "minirt"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m minirt "$@"\n')
    program.chmod(0o755)

    def enter(command: str) -> None:
        shell("sh", "-ec", f'PATH="{tmp_path}:$PATH"; {command}', seconds=60)

    return enter


def patient(minirt: Minirt, *words: str) -> Patient:
    minirt("network", "create", *words, "net1")
    one = guest(minirt, "one", "--net", "net1", "-p", "8080:80")
    seen = json.loads(minirt("network", "explain", "--json", "net1").stdout)
    return Patient(one, seen["bridge_name"], seen["wires"][0]["link"]["name"])


def found(minirt: Minirt, *words: str) -> list[dict[str, Any]]:
    """Return the faults; the exit code must agree."""
    done = minirt("network", "doctor", "--json", *words, code=None)
    assert done.returncode in (0, 1), done.stderr
    faults = [one for one in json.loads(done.stdout) if one["is_fault"]]
    assert bool(faults) == bool(done.returncode)
    return faults


AILMENTS = {
    "ip-forward": "sysctl -qw net.ipv4.ip_forward=0 net.ipv4.conf.{bridge}.forwarding=1",
    "forwarding": "sysctl -qw net.ipv4.conf.{bridge}.forwarding=0",
    "route-localnet": "sysctl -qw net.ipv4.conf.{bridge}.route_localnet=0",
    "bridge-missing": "ip link delete {bridge}",
    "bridge-down": "ip link set {bridge} down",
    "bridge-address": "ip addr flush dev {bridge}",
    "bridge-prefix": "a=$(ip -o -4 addr show dev {bridge} | awk '{{print $4}}');"
    " ip addr del $a dev {bridge}; ip addr add ${{a%/*}}/24 dev {bridge}",
    "inside-down": "{inside} ip link set eth0 down",
    "inside-mac": "{inside} ip link set eth0 address 02:00:00:00:00:99",
    "inside-address": "{inside} ip addr flush dev eth0 scope global",
    "inside-route": "{inside} ip route del default",
    "resolv-conf": "echo nameserver 192.0.2.9 > /proc/{pid}/root/etc/resolv.conf",
    "wire-loose": "ip link set {wire} nomaster",
    "wire-down": "ip link set {wire} down",
    "wire-missing": "ip link delete {wire}",
    "hairpin": "ip link set {wire} type bridge_slave hairpin off",
    "filter-missing": "nft flush ruleset",
    "filter-elements": "nft delete element inet minirt bridges {{ {bridge} }}",
    "filter-rules": "nft flush chain inet minirt forward",
    "forgeable": "nft delete table bridge minirt",
    "port-lost": "nft delete element inet minirt pub4_any {{ tcp . 8080 }}",
    "foreign-drop": "nft 'add table ip mine; add chain ip mine c"
    " {{ type filter hook forward priority 3; policy drop; }}'",
}


@pytest.mark.parametrize("code", AILMENTS)
def test_an_ailment_is_found_and_its_mend_mends_it(
    minirt: Minirt, image: str, outside: Outside, typed: Callable[[str], None], code: str
) -> None:
    here = patient(minirt)
    assert found(minirt) == []
    here.break_(AILMENTS[code])
    faults = found(minirt)
    assert code in {one["code"] for one in faults}
    tried = 0
    while faults and tried < 5:  # One thing may hide another, as a bridge its address.
        typed(faults[0]["mend"])
        faults, tried = found(minirt), tried + 1
    assert faults == []
    if code == "foreign-drop":
        shell("nft", "delete table ip mine")
    pid = pid_of(minirt, "one")
    in_netns(pid, "ping", "-c1", "-W5", outside.address)


@needs_tool("iptables-nft", "iptables-legacy")
@pytest.mark.parametrize("program", ["iptables-nft", "iptables-legacy"])
def test_a_forward_policy_of_iptables_is_found_and_mended(
    minirt: Minirt, image: str, outside: Outside, typed: Callable[[str], None], program: str
) -> None:
    here = patient(minirt)
    shell(program, "-P", "FORWARD", "DROP")
    try:
        (fault,) = found(minirt)
        assert fault["code"] == "foreign-drop"
        assert "FORWARD" in fault["what"]
        in_netns(here.guest.pid, "ping", "-c1", "-W1", outside.address, code=1)
        typed(fault["mend"])
        assert found(minirt) == []
        in_netns(here.guest.pid, "ping", "-c1", "-W5", outside.address)
    finally:
        minirt("rm", "-f", "one")
        minirt("network", "rm", "net1")
        shell(program, "-P", "FORWARD", "ACCEPT")
        shell("nft", "delete table ip filter", code=None)


@pytest.mark.core
def test_a_stopped_resolver_is_found_and_mended(
    minirt: Minirt, image: str, typed: Callable[[str], None]
) -> None:
    patient(minirt)
    shell("kill", "-STOP", resolver_pid("net1"))
    (fault,) = found(minirt)
    assert fault["code"] == "resolver-stopped"
    assert fault["mend"] == f"kill -CONT {resolver_pid('net1')}"
    typed(fault["mend"])
    assert found(minirt) == []


def test_a_resolver_that_cannot_be_started_is_found(
    minirt: Minirt, image: str, ground: Ground
) -> None:
    patient(minirt)
    starting = locks.acquire(ground.run / "networks/net1/resolver.lock")  # Nobody else can.
    pid = resolver_pid("net1")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{pid}/exe").exists(), "its end")
    (fault,) = found(minirt)
    assert fault["code"] == "resolver-silent"
    assert "it has no resolver" in fault["what"]
    os.close(starting)
    wait_until(lambda: found(minirt) == [], "the next one")


def test_a_route_that_takes_its_addresses_is_found_and_mended(
    minirt: Minirt, image: str, outside: Outside, typed: Callable[[str], None]
) -> None:
    minirt("network", "create", "--subnet", "10.7.0.0/16", "net1")
    shell("ip", "route", "add", "10.0.0.0/8", "dev", outside.link)
    assert found(minirt) == []  # The network's own route is the closer one.
    shell("ip", "route", "add", "10.7.5.0/24", "dev", outside.link)
    (fault,) = found(minirt)
    assert fault["code"] == "overlap"
    assert "10.7.5.0/24 by test-outside overlaps its subnet 10.7.0.0/16" in fault["what"]
    typed(fault["mend"])
    assert found(minirt) == []
    assert minirt("network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", "net1").stdout


def test_strict_reverse_paths_are_a_fault_where_a_container_has_two_networks(
    minirt: Minirt, image: str, typed: Callable[[str], None]
) -> None:
    here = patient(minirt)
    shell("sysctl", "-qw", f"net.ipv4.conf.{here.bridge}.rp_filter=1")
    assert found(minirt) == []
    notes = minirt("network", "doctor").stdout
    assert f"note: net1: {here.bridge} takes only packets whose answers leave by it too" in notes
    minirt("network", "create", "net2")
    minirt("network", "connect", "net2", "one")
    (fault,) = found(minirt)
    assert fault["code"] == "rp-filter"
    typed(fault["mend"])
    assert found(minirt) == []


@needs_file(BRIDGED)
@pytest.mark.parametrize(("before", "after"), [("11", "00"), ("00", "11"), ("00", "01")])
def test_ports_that_are_apart_or_not_as_they_should_be(
    minirt: Minirt, image: str, typed: Callable[[str], None], before: str, after: str
) -> None:
    filter_bridges(*before)
    here = patient(minirt, "-o", NO_ICC)
    other = guest(minirt, "two", "--net", "net1")
    assert found(minirt) == []
    filter_bridges(*after)
    faults = found(minirt)
    assert {one["code"] for one in faults} == {"isolation"}
    for one in faults:
        typed(one["mend"])
    assert found(minirt) == []
    in_netns(here.guest.pid, "ping", "-c1", "-W1", other.address, code=1)


@needs_file(BRIDGED)
def test_that_bridges_are_filtered_is_a_note_and_no_fault(minirt: Minirt, image: str) -> None:
    Path(BRIDGED).write_text("1")
    patient(minirt)
    done = minirt("network", "doctor")
    assert "note: host: bridge-nf-call-iptables is on" in done.stdout
    assert "Nothing is wrong with " in done.stdout
    Path(BRIDGED).write_text("0")
    assert "bridge-nf" not in minirt("network", "doctor").stdout


def test_only_the_networks_that_are_named_are_looked_at(minirt: Minirt, image: str) -> None:
    here = patient(minirt)
    minirt("network", "create", "net2")
    here.break_("ip link set {bridge} down")
    assert found(minirt, "net2") == []
    assert [one["code"] for one in found(minirt, "net1")] == ["bridge-down"]
    assert "nosuch not found" in minirt("network", "doctor", "nosuch", code=1).stderr


@pytest.mark.core
def test_reload_mends_everything_while_containers_go_on(
    minirt: Minirt, image: str, outside: Outside
) -> None:
    here = patient(minirt)
    here.break_("nft flush ruleset; ip link delete {bridge}; sysctl -qw net.ipv4.ip_forward=0")
    assert minirt("network", "reload").stdout == "net1\n"
    assert found(minirt) == []
    in_netns(here.guest.pid, "ping", "-c1", "-W5", outside.address)


@pytest.mark.parametrize("away", ["default", "subnet"])
def test_routes_inside_of_ipv6_and_of_the_own_subnet_are_looked_at(
    minirt: Minirt, image: str, typed: Callable[[str], None], away: str
) -> None:
    here = patient(minirt, "--ipv6")
    assert found(minirt) == []
    if away == "default":
        here.break_("{inside} ip -6 route del default")
    else:
        gateway = here.guest.networks["net1"]["Gateway"]
        here.break_(f"{{inside}} ip route add {gateway}/32 dev lo")
    (fault,) = found(minirt)
    assert fault["code"] == "inside-route"
    if away == "default":
        typed(fault["mend"])
        assert found(minirt) == []


def test_somebody_elses_veth_with_a_leased_address_is_found_and_taken_out(
    minirt: Minirt, image: str, typed: Callable[[str], None]
) -> None:
    here = patient(minirt)
    address = here.guest.address
    with another_network() as pid:
        here.break_(
            "ip link add foreign type veth peer name p0; ip link set foreign master {bridge} up;"
            f"ip link set p0 netns {pid} up"
        )
        in_netns(pid, "ip", "link", "set", "p0", "up")
        assert found(minirt) == []
        in_netns(pid, "ip", "addr", "add", f"{address}/16", "dev", "p0")
        (fault,) = found(minirt)
        assert (fault["code"], f"pid {pid}" in fault["what"]) == ("foreign-address", True)
        typed(fault["mend"])
        assert found(minirt) == []


def test_a_leased_address_on_a_link_of_the_host_is_found(
    minirt: Minirt, image: str, typed: Callable[[str], None]
) -> None:
    here = patient(minirt)
    shell("ip", "addr", "add", f"{here.guest.address}/32", "dev", "lo")
    assert "foreign-address" in {one["code"] for one in found(minirt)}
    typed(next(one["mend"] for one in found(minirt) if one["code"] == "foreign-address"))
    assert found(minirt) == []


def test_a_host_file_that_has_changed_since_is_told(
    minirt: Minirt, image: str, typed: Callable[[str], None], tmp_path: Path
) -> None:
    """A container on the default network asks the servers that the host had at its start."""
    with host_file("nameserver 192.0.2.53\n", tmp_path):
        guest(minirt, "one")
        assert found(minirt) == []
    with host_file("nameserver 192.0.2.54\n", tmp_path):
        (fault,) = found(minirt)
        assert fault["code"] == "resolv-conf"
        assert "192.0.2.54" in fault["what"]
        typed(fault["mend"])
        assert found(minirt) == []


def test_a_strict_reverse_path_filter_of_an_uplink_is_told(
    minirt: Minirt, image: str, outside: Outside, typed: Callable[[str], None]
) -> None:
    patient(minirt)
    shell("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=1", "net.ipv4.conf.default.rp_filter=1")
    shell("sysctl", "-qw", f"net.ipv4.conf.{outside.link}.rp_filter=1")
    told = {
        one["code"]: one
        for one in json.loads(minirt("network", "doctor", "--json", code=None).stdout)
    }
    assert not told["rp-filter-uplink"]["is_fault"]  # the default route leaves by it
    shell("ip", "route", "del", "default")
    (fault,) = [one for one in found(minirt) if one["code"] == "rp-filter-uplink"]
    typed(fault["mend"])
    assert "rp-filter-uplink" not in {one["code"] for one in found(minirt)}
