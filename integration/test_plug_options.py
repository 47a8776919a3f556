"""Driver options of one plug: the name of its interface, and the interface's own switches."""

from __future__ import annotations

import json

import pytest

from integration.conftest import Minirt
from integration.guests import Guest, guest, look

IFNAME = "driver-opt=com.docker.network.endpoint.ifname"
SYSCTLS = "driver-opt=com.docker.network.endpoint.sysctls"


@pytest.fixture(autouse=True)
def nets(minirt: Minirt, image: str) -> None:
    """Make net1 (10.1.0.0/24) and net2 (10.2.0.0/24)."""
    for number in (1, 2):
        minirt("network", "create", "--subnet", f"10.{number}.0.0/24", f"net{number}")


def interfaces(one: Guest) -> dict[str, str]:
    """Return the names of its interfaces with their IPv4 addresses."""
    lines = [line.split() for line in one.run("ip", "-br", "-4", "addr").splitlines()]
    return {line[0].partition("@")[0]: line[2].partition("/")[0] for line in lines[1:]}


def switch(one: Guest, name: str) -> str:
    return one.run("sysctl", "-n", name).strip()


def test_an_interface_is_called_as_asked_and_others_make_room(minirt: Minirt) -> None:
    one = guest(minirt, "one", "--net", "net1", "--net", f"name=net2,{IFNAME}=eth0")
    assert interfaces(one) == {"eth1": "10.1.0.2", "eth0": "10.2.0.2"}
    minirt("exec", "one", "ping", "-c1", "-W5", "-I", "eth0", "10.2.0.1")
    plug = one.networks["net2"]
    assert plug["DriverOpts"] == {"com.docker.network.endpoint.ifname": "eth0"}  # type: ignore[comparison-overlap]
    two = guest(minirt, "two", "--net", f"name=net1,{IFNAME}=lan0")
    assert interfaces(two) == {"lan0": "10.1.0.3"}
    words = ("--driver-opt", "com.docker.network.endpoint.ifname=dmz0")
    minirt("network", "connect", *words, "net2", "two")
    assert interfaces(two) == {"lan0": "10.1.0.3", "dmz0": "10.2.0.3"}
    minirt("restart", "-t", "0", "two")
    assert interfaces(look(minirt, "two")) == {"lan0": "10.1.0.3", "dmz0": "10.2.0.3"}


def test_a_name_that_is_taken_is_refused_and_nothing_changes(minirt: Minirt) -> None:
    both = ("--net", f"name=net1,{IFNAME}=a0", "--net", f"name=net2,{IFNAME}=a0")
    refused = minirt("run", *both, "busybox", "true", code=125).stderr
    assert "can't both be a0" in refused
    one = guest(minirt, "one", "--net", "net1")
    before = minirt("inspect", "one").stdout
    one.run("ip", "link", "add", "own0", "type", "veth")
    for name in ("eth0", "own0", "lo"):
        option = f"com.docker.network.endpoint.ifname={name}"
        said = minirt("network", "connect", "--driver-opt", option, "net2", "one", code=1).stderr
        assert f"an interface {name}" in said or "an interface of that name" in said
        assert said.count("\n") == 1
        assert minirt("inspect", "one").stdout == before
    for bad in ("a/b", "much-too-long-name", "", "a b"):
        minirt("run", "--net", f"name=net1,{IFNAME}={bad}", "busybox", "true", code=125)


def test_switches_are_set_on_this_interface_alone(minirt: Minirt) -> None:
    first = "net.ipv4.conf.IFNAME.log_martians=1"
    second = "net.ipv4.neigh.IFNAME.gc_stale_time=77"
    one = guest(minirt, "one", "--net", f'name=net1,"{SYSCTLS}={first},{second}"', "--net", "net2")
    assert switch(one, "net.ipv4.conf.eth0.log_martians") == "1"
    assert switch(one, "net.ipv4.neigh.eth0.gc_stale_time") == "77"
    assert switch(one, "net.ipv4.conf.eth1.log_martians") == "0"
    assert switch(one, "net.ipv4.neigh.eth1.gc_stale_time") != "77"
    minirt("network", "disconnect", "net2", "one")
    option = "com.docker.network.endpoint.sysctls=net.ipv4.conf.ifname.log_martians=1"
    minirt("network", "connect", "--driver-opt", option, "net2", "one")
    assert switch(one, "net.ipv4.conf.eth1.log_martians") == "1"
    minirt("restart", "-t", "0", "one")
    assert switch(look(minirt, "one"), "net.ipv4.conf.eth1.log_martians") == "1"


@pytest.mark.parametrize(
    "bad",
    [
        "net.ipv4.ip_forward=1",
        "net.ipv4.conf.all.log_martians=1",
        "net.ipv4.conf.eth0.log_martians=1",
        "net.ipv4.conf.IFNAME.log_martians",
        "net.ipv4.conf.IFNAME/../all.log_martians=1",
        "kernel.x.y.IFNAME.z=1",
        "rubbish",
    ],
)
def test_switches_of_anything_else_are_refused(minirt: Minirt, bad: str) -> None:
    said = minirt("create", "--net", f"name=net1,{SYSCTLS}={bad}", "busybox", "true", code=1)
    assert "net.X.Y.IFNAME.Z=V" in said.stderr
    assert json.loads(minirt("network", "inspect", "net1").stdout)[0]["Containers"] == {}


def test_a_switch_that_the_kernel_does_not_know_is_named_and_nothing_is_left(
    minirt: Minirt,
) -> None:
    unknown = f"name=net1,{SYSCTLS}=net.ipv4.conf.IFNAME.no_such_switch=1"
    said = minirt("run", "--name", "one", "--net", unknown, "busybox", "true", code=125).stderr
    assert "net.ipv4.conf.eth0.no_such_switch" in said
    one = guest(minirt, "two", "--net", "net1")
    option = "com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=rubbish"
    said = minirt("network", "connect", "--driver-opt", option, "net2", "two", code=1).stderr
    assert "net.ipv4.conf.eth1.log_martians" in said
    assert interfaces(one) == {"eth0": "10.1.0.2"}
    assert json.loads(minirt("network", "inspect", "net2").stdout)[0]["Containers"] == {}
