"""Networks with IPv6: made, shown, plugged into, left; with real containers."""

from __future__ import annotations

import json
from ipaddress import IPv6Network
from pathlib import Path
from typing import Any

import pytest

from integration.conftest import Minirt
from integration.sandbox import shell
from minirt.errors import Conflict
from minirt.network import bridge, create, finding, store
from minirt.network.plan import Plan

SIX = ("--subnet", "2001:db8:1::/64")
FOUR = ("--subnet", "10.9.0.0/24")


def inspected(minirt: Minirt, *words: object) -> dict[str, Any]:
    """Return the one document that an inspect prints."""
    (document,) = json.loads(minirt(*words).stdout)
    assert isinstance(document, dict)
    return document


def plug(minirt: Minirt, container: str, network: str) -> dict[str, Any]:
    """Return what inspect says of one plug."""
    settings = inspected(minirt, "inspect", container)["NetworkSettings"]
    found = settings["Networks"][network]
    assert isinstance(found, dict)
    return found


def inside(minirt: Minirt, container: str, *words: object) -> str:
    """Return what a program in a container prints."""
    return minirt("exec", container, *words).stdout


def test_with_the_flag_alone_a_network_has_a_subnet_of_the_hosts_own(minirt: Minirt) -> None:
    minirt("network", "create", "--ipv6", "one")
    minirt("network", "create", "--ipv6", "two")
    blocks = []
    for name in ("one", "two"):
        document = inspected(minirt, "network", "inspect", name)
        assert document["EnableIPv6"] is True
        four, six = document["IPAM"]["Config"]
        assert "." in four["Subnet"]
        blocks.append(IPv6Network(six["Subnet"]))
        assert six["Gateway"] == str(blocks[-1][1])
    assert all(block.prefixlen == 64 for block in blocks)
    assert blocks[0].supernet(new_prefix=48) == blocks[1].supernet(new_prefix=48)
    assert blocks[0] != blocks[1]
    row = minirt("network", "ls", "--format", "{{.IPv6}}", "--filter", "name=^one$").stdout
    assert row.strip() == "true"


def test_an_ipv6_subnet_is_enough_to_have_ipv6(minirt: Minirt) -> None:
    flags = ["--ip-range", "2001:db8:1::100/120", "--gateway", "2001:db8:1::9"]
    flags += ["--aux-address", "router=2001:db8:1::5"]
    minirt("network", "create", *SIX, *FOUR, *flags, "net1")
    document = inspected(minirt, "network", "inspect", "net1")
    assert document["IPAM"]["Config"][1] == {
        "Subnet": "2001:db8:1::/64",
        "IPRange": "2001:db8:1::100/120",
        "Gateway": "2001:db8:1::9",
        "AuxiliaryAddresses": {"router": "2001:db8:1::5"},
    }


def test_two_networks_never_share_ipv6_addresses(minirt: Minirt) -> None:
    minirt("network", "create", *SIX, "net1")
    refused = minirt("network", "create", "--subnet", "2001:db8::/32", "net2", code=1)
    assert "Pool overlaps with other one" in refused.stderr
    with pytest.raises(Conflict):
        create.create(Plan("net3", subnets=("2001:db8:1::/80",)))
    assert [one.name for one in store.every() if not one.is_default] == ["net1"]


def test_the_bridge_has_its_address_at_once_and_listens_to_no_router(minirt: Minirt) -> None:
    minirt("network", "create", *SIX, "-o", "com.docker.network.bridge.name=br6", "net1")
    shown = json.loads(shell("ip", "-json", "-6", "address", "show", "br6").stdout)[0]["addr_info"]
    address = next(one for one in shown if one["scope"] == "global")
    assert (address["local"], address["prefixlen"]) == ("2001:db8:1::1", 64)
    assert "tentative" not in address
    for name, value in (("accept_ra", "0"), ("accept_dad", "0"), ("disable_ipv6", "0")):
        assert Path(f"/proc/sys/net/ipv6/conf/br6/{name}").read_text().strip() == value, name
    shell("ip", "address", "flush", "dev", "br6")
    bridge.ensure(finding.find("net1"))  # It mends both addresses.
    assert "2001:db8:1::1/64" in shell("ip", "address", "show", "br6").stdout


def test_a_host_that_learned_its_way_out_from_a_router_still_does(minirt: Minirt) -> None:
    shell("ip", "link", "add", "test-up", "type", "bridge")
    shell("ip", "link", "add", "test-fixed", "type", "bridge")
    listens = {
        name: Path(f"/proc/sys/net/ipv6/conf/test-{name}/accept_ra") for name in ("up", "fixed")
    }
    listens["up"].write_text("1")
    listens["fixed"].write_text("0")
    minirt("network", "create", "net4")
    assert Path("/proc/sys/net/ipv6/conf/all/forwarding").read_text() == "0\n"
    minirt("network", "create", "--ipv6", "net6")
    assert Path("/proc/sys/net/ipv6/conf/all/forwarding").read_text() == "1\n"
    assert listens["up"].read_text() == "2\n"
    assert listens["fixed"].read_text() == "0\n"


@pytest.mark.usefixtures("image")
def test_a_container_has_both_addresses_and_everything_says_so(minirt: Minirt) -> None:
    minirt("network", "create", *SIX, *FOUR, "net1")
    minirt("run", "-d", "--name", "web", "--net", "net1", "busybox", "sleep", "1000")
    one = plug(minirt, "web", "net1")
    assert (one["IPAddress"], one["GlobalIPv6Address"]) == ("10.9.0.2", "2001:db8:1::2")
    assert (one["GlobalIPv6PrefixLen"], one["IPv6Gateway"]) == (64, "2001:db8:1::1")
    (seen,) = inspected(minirt, "network", "inspect", "net1")["Containers"].values()
    assert (seen["IPv4Address"], seen["IPv6Address"]) == ("10.9.0.2/24", "2001:db8:1::2/64")
    shown = inside(minirt, "web", "ip", "-6", "address", "show", "eth0")
    assert "inet6 2001:db8:1::2/64 scope global" in shown
    assert "tentative" not in shown
    routes = inside(minirt, "web", "ip", "-6", "route")
    assert "default via 2001:db8:1::1 dev eth0" in routes
    hosts = inside(minirt, "web", "cat", "/etc/hosts").splitlines()
    short = inspected(minirt, "inspect", "web")["Config"]["Hostname"]
    assert hosts[-2:] == [f"10.9.0.2\t{short}", f"2001:db8:1::2\t{short}"]
    minirt("stop", "-t", "0", "web")
    assert plug(minirt, "web", "net1")["GlobalIPv6Address"] == ""
    minirt("start", "web")
    assert plug(minirt, "web", "net1")["GlobalIPv6Address"] == "2001:db8:1::2"


@pytest.mark.usefixtures("image")
def test_containers_find_each_other_by_ipv6_and_back_again(minirt: Minirt) -> None:
    minirt("network", "create", *SIX, "net1")
    minirt("run", "-d", "--name", "web", "--net", "net1", "--network-alias", "www",
           "busybox", "sleep", "1000")  # fmt: skip
    minirt("run", "-d", "--name", "client", "--net", "net1", "busybox", "sleep", "1000")
    inside(minirt, "client", "ping", "-6", "-c1", "-W2", "web")
    for name in ("web", "www", "web.net1"):
        assert "2001:db8:1::2" in inside(minirt, "client", "nslookup", "-type=aaaa", name)
    pointer = inside(minirt, "client", "nslookup", "2001:db8:1::2")
    assert "web.net1" in pointer
    minirt("rename", "web", "shop")
    assert "2001:db8:1::2" in inside(minirt, "client", "nslookup", "-type=aaaa", "shop")
    minirt("rm", "-f", "shop")
    gone = minirt("exec", "client", "nslookup", "-type=aaaa", "shop", code=None)
    assert "2001:db8:1::2" not in gone.stdout


@pytest.mark.usefixtures("image")
def test_an_ipv6_address_can_be_wanted_and_is_not_given_twice(minirt: Minirt) -> None:
    minirt("network", "create", *SIX, "net1")
    minirt("run", "-d", "--name", "ab", "--net", "net1", "--ip6", "2001:db8:1::0:9",
           "busybox", "sleep", "1000")  # fmt: skip
    assert plug(minirt, "ab", "net1")["GlobalIPv6Address"] == "2001:db8:1::9"
    assert plug(minirt, "ab", "net1")["IPAMConfig"] == {"IPv6Address": "2001:db8:1::9"}
    taken = minirt(
        "run", "--rm", "--net", "name=net1,ip6=2001:db8:1::9", "busybox", "true", code=125
    )
    assert "Address already in use: 2001:db8:1::9: container ab has it" in taken.stderr
    minirt("network", "create", "--ipv6", "auto")
    refused = minirt("run", "--net", "auto", "--ip6", "fd00::9", "busybox", "true", code=125)
    assert "networks with user configured subnets" in refused.stderr
    minirt("rm", "-f", "ab")
    minirt("run", "--rm", "--net", "net1", "--ip6", "2001:db8:1::9", "busybox", "true")


@pytest.mark.usefixtures("image")
def test_ipv6_comes_and_goes_with_connect_and_disconnect(minirt: Minirt) -> None:
    minirt("network", "create", "old")
    minirt("network", "create", *SIX, "net1")
    minirt("run", "-d", "--name", "web", "--net", "old", "busybox", "sleep", "1000")
    minirt("network", "connect", "--ip6", "2001:db8:1::77", "net1", "web")
    assert "2001:db8:1::77/64" in inside(minirt, "web", "ip", "-6", "address", "show", "eth1")
    assert "2001:db8:1::77" in inside(minirt, "web", "cat", "/etc/hosts")
    minirt("network", "disconnect", "old", "web")
    assert "default via 2001:db8:1::1" in inside(minirt, "web", "ip", "-6", "route")
    minirt("network", "disconnect", "net1", "web")
    assert "2001:db8" not in inside(minirt, "web", "ip", "-6", "address")
    assert "2001:db8:1::77" not in inside(minirt, "web", "cat", "/etc/hosts")
    assert inspected(minirt, "network", "inspect", "net1")["Containers"] == {}
    minirt("network", "rm", "net1")


@pytest.mark.usefixtures("image")
def test_a_network_without_ipv6_gives_none_not_even_a_link_local_address(minirt: Minirt) -> None:
    minirt("network", "create", "net4")
    shown = minirt("run", "--rm", "--net", "net4", "busybox", "ip", "-6", "address", "show", "eth0")
    assert "inet6" not in shown.stdout


@pytest.mark.usefixtures("image")
def test_a_container_can_do_without_the_ipv6_of_its_network(minirt: Minirt) -> None:
    minirt("network", "create", "--ipv6", "net1")
    minirt("run", "-d", "--name", "web", "--net", "net1",
           "--sysctl", "net.ipv6.conf.all.disable_ipv6=1", "busybox", "sleep", "1000")  # fmt: skip
    assert plug(minirt, "web", "net1")["GlobalIPv6Address"] == ""
    assert "inet6" not in inside(minirt, "web", "ip", "-6", "address", "show", "eth0")
    answer = minirt("exec", "web", "nslookup", "-type=aaaa", "web", code=None)
    assert "fd" not in answer.stdout.partition("Name:")[2]
