"""A network namespace that the spare monitor has made while nobody waited."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from integration.sandbox import in_netns, wait_until
from integration.serving import run, server
from integration.traces import networks_among
from integration.warm import descriptors_of, monitors_of
from minirt.kernel import namespaces

__all__ = ["server"]  # fixtures
pytestmark = pytest.mark.in_process  # Its tests start and stop servers themselves.


def held_by(pid: int) -> set[str]:
    """Return the network namespaces, but ours, that a process holds open by a descriptor."""
    return networks_among(descriptors_of(pid)) - {network_of("self")}


def network_of(pid: int | str) -> str:
    return str(Path(f"/proc/{pid}/ns/net").readlink())


def of(name: str) -> tuple[int, str]:
    """Return the pid of a container's init, and its network namespace."""
    (one,) = json.loads(run("inspect", name).stdout)
    pid = int(one["State"]["Pid"])
    return pid, network_of(pid)


def spare_of(server: int) -> tuple[int, str]:
    """Return the spare monitor, and the network namespace that it has made."""
    wait_until(lambda: [one for one in monitors_of(server) if held_by(one)], "a spare network")
    (spare,) = (one for one in monitors_of(server) if held_by(one))
    (network,) = held_by(spare)
    return spare, network


@pytest.mark.parametrize("network", ["none", "bridge"])
def test_the_next_container_gets_it_with_the_usual_settings(
    server: int, image: str, network: str
) -> None:
    spare, ready = spare_of(server)
    assert run("run", "-d", "--name", "one", "--net", network, image, "sleep", "99").returncode == 0
    pid, own = of("one")
    assert own == ready
    shown = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /sys/class/net/lo/operstate"
    assert run("exec", "one", "sh", "-c", shown).stdout == "0\nunknown\n"
    assert in_netns(pid, "ip", "-o", "link", "show", "lo").stdout.count("LOOPBACK,UP") == 1
    assert not held_by(spare)
    assert network_of(spare) == network_of("self")
    assert run("rm", "-f", "one").returncode == 0


@pytest.mark.parametrize(
    "options", [("--net", "host"), ("--net", "container:one"), ("--userns", "private")]
)
def test_who_needs_none_leaves_nothing_of_it(
    server: int, image: str, options: tuple[str, str]
) -> None:
    assert run("run", "-d", "--name", "one", "--net", "none", image, "sleep", "99").returncode == 0
    spare, ready = spare_of(server)
    done = run("run", "-d", "--name", "two", *options, image, "sleep", "99")
    assert (done.returncode, done.stderr) == (0, "")
    _, own = of("two")
    assert own != ready
    assert (own == network_of("self")) is ("host" in options)
    assert (own == of("one")[1]) is ("container:one" in options)
    assert not held_by(spare)
    assert run("rm", "-f", "one", "two").returncode == 0


def test_two_containers_never_share_it(server: int, image: str) -> None:
    for name in ("one", "two", "three"):
        assert run("run", "-d", "--name", name, "--net", "none", image, "sleep", "99").stdout
    assert len({of(name)[1] for name in ("one", "two", "three")}) == 3
    assert run("rm", "-f", "one", "two", "three").returncode == 0


def test_who_makes_one_stays_where_it_is() -> None:
    before = network_of("self")
    made = namespaces.new_network()
    try:
        assert network_of("self") == before != str(Path(made.path).readlink())
        with namespaces.inside(made):
            assert network_of("self") == str(Path(made.path).readlink())
    finally:
        os.close(made.fd)
