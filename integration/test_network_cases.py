"""Cases of docs/networking-cases.md that no other file has."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.guests import guest
from integration.sandbox import Outside, in_netns, shell, wait_until
from integration.wires import PEER, ask, served

pytestmark = pytest.mark.usefixtures("image")


def test_strict_reverse_path_filters_are_in_nobodys_way(minirt: Minirt, outside: Outside) -> None:
    for name in ("all", "default"):
        shell("sysctl", "-qw", f"net.ipv4.conf.{name}.rp_filter=1")
    minirt("network", "create", "net1")
    minirt("network", "create", "net2")
    one = guest(minirt, "one", "--net", "net1", "--net", "net2", "-p", "8080:80")
    in_netns(one.pid, "sysctl", "-qw", "net.ipv4.conf.all.rp_filter=1")
    with one.serving(80):
        for host in ("127.0.0.1", outside.host_address):
            assert ask(host, 8080) not in ("timeout", "Connection refused")
        from_outside = outside.run(*PEER, "ask", "tcp", outside.host_address, 8080).stdout.strip()
        assert from_outside == outside.address


def test_two_containers_have_one_port_at_two_loopback_addresses(minirt: Minirt) -> None:
    minirt("network", "create", "net1")
    one = guest(minirt, "one", "--net", "net1", "-p", "127.0.0.1:8080:80")
    two = guest(minirt, "two", "--net", "net1", "-p", "127.0.0.2:8080:80")
    with one.serving(80):
        assert ask("127.0.0.1", 8080) not in ("timeout", "Connection refused")
        assert ask("127.0.0.2", 8080) == "Connection refused"  # two's server does not run
        with two.serving(80):
            assert ask("127.0.0.2", 8080) not in ("timeout", "Connection refused")
    with two.serving(80):
        assert ask("127.0.0.1", 8080) == "Connection refused"


def test_of_two_that_want_one_port_after_a_stop_the_first_has_it(minirt: Minirt) -> None:
    guest(minirt, "one", "-p", "8080:80")
    minirt("create", "--name", "two", "-p", "8080:80", "busybox", "sleep", "1000")
    minirt("stop", "-t", "0", "one")
    minirt("start", "two")
    assert "8080" in minirt("start", "one", code=None).stderr
    minirt("stop", "-t", "0", "two")
    minirt("start", "one")
    assert "0.0.0.0:8080" in minirt("port", "one").stdout


def test_a_long_name_of_a_network_is_no_obstacle(minirt: Minirt) -> None:
    name = "n" * 100
    minirt("network", "create", name)
    guest(minirt, "one", "--net", name)
    minirt("run", "--rm", "--net", name, "busybox", "ping", "-c1", "-W5", "one")


def test_two_on_a_network_of_two_addresses_meet(minirt: Minirt) -> None:
    gateway = "10.9.0.0/30"  # Four addresses: its own, the gateway, one container, all.
    minirt("network", "create", "--subnet", gateway, "tiny")
    one = guest(minirt, "one", "--net", "tiny")
    assert one.address == "10.9.0.2"
    minirt("exec", "one", "ping", "-c1", "-W5", "10.9.0.1")
    full = minirt("run", "--rm", "--net", "tiny", "busybox", "true", code=125).stderr
    assert "no available IPv4 addresses" in full


def test_a_mac_that_was_asked_for_is_the_interfaces(minirt: Minirt, outside: Outside) -> None:
    mac = "02:12:34:56:78:9a"
    minirt("network", "create", "net1")
    one = guest(minirt, "one", "--net", "net1", "--mac-address", mac)
    assert mac in one.run("ip", "link", "show", "eth0")
    assert one.networks["net1"]["MacAddress"] == mac
    minirt("exec", "one", "ping", "-c1", "-W5", outside.address)
    minirt("restart", "-t", "0", "one")
    assert mac in minirt("exec", "one", "ip", "link", "show", "eth0").stdout


def test_a_namespace_that_has_such_an_interface_is_refused_and_nothing_is_left(
    minirt: Minirt,
) -> None:
    minirt("network", "create", "net1")
    minirt("network", "create", "net2")
    one = guest(minirt, "one", "--net", "net1")
    one.run("ip", "link", "add", "eth1", "type", "veth")
    before = minirt("inspect", "one").stdout
    assert minirt("network", "connect", "net2", "one", code=1).stderr
    assert minirt("inspect", "one").stdout == before
    one.run("ip", "link", "del", "eth1")
    minirt("network", "connect", "net2", "one")
    assert "172.19.0.2" in one.run("ip", "addr", "show", "eth1")


def test_a_switch_that_cannot_be_written_is_named_unless_it_stands_right(minirt: Minirt) -> None:
    minirt("network", "create", "net1")
    minirt("network", "reload")  # the default one too
    read_only = "mount -o bind /proc/sys /proc/sys; mount -o remount,ro,bind /proc/sys; "
    there = ("unshare", "--mount", "sh", "-c")
    reload = f"exec {sys.executable} -m minirt network reload"
    shell(*there, read_only + reload)
    shell("sysctl", "-qw", "net.ipv4.ip_forward=0")
    refused = shell(*there, read_only + reload, code=None)
    assert refused.returncode != 0
    assert "/proc/sys/net/ipv4/ip_forward" in refused.stderr


def test_the_next_network_is_the_way_out_although_its_interface_is_down(minirt: Minirt) -> None:
    minirt("network", "create", "net1")
    minirt("network", "create", "net2")
    one = guest(minirt, "one", "--net", "net1", "--net", "net2")
    one.run("ip", "link", "set", "eth1", "down")
    minirt("network", "disconnect", "net1", "one", code=None)
    minirt("restart", "-t", "0", "one")
    assert "default via 172.19.0.1" in minirt("exec", "one", "ip", "route").stdout


def test_a_thousand_ports_are_published_at_once(minirt: Minirt) -> None:
    before = processes()
    guest(minirt, "plain")
    usual = len(processes() - before)
    one = guest(minirt, "one", "-p", "20000-20999:1000-1999")
    wait_until(lambda: len(processes() - before) <= 2 * usual, "no process for any port")
    assert len(minirt("port", "one").stdout.splitlines()) == 2000  # in both families
    with one.serving(1999):
        assert ask("127.0.0.1", 20999) not in ("timeout", "Connection refused")


def processes() -> set[str]:
    """Return the numbers of all processes of the sandbox but those that are ending."""
    found = set()
    for one in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if one.read_text().rpartition(") ")[2][0] != "Z":
                found.add(one.parent.name)
    return found


def test_the_veth_deleted_by_hand_is_no_obstacle_at_the_end(minirt: Minirt) -> None:
    minirt("network", "create", "net1")
    one = guest(minirt, "one", "--net", "net1", "-p", "8080:80")
    one.run("ip", "link", "del", "eth0")
    minirt("rm", "-f", "one")
    assert ask("127.0.0.1", 8080) == "Connection refused"
    minirt("network", "rm", "net1")


def test_networks_are_listed_and_pruned_by_what_they_are(minirt: Minirt) -> None:
    minirt("network", "create", "--label", "team=a", "net1")
    minirt("network", "create", "--label", "team=b", "net2")
    minirt("network", "create", "--internal", "other")
    guest(minirt, "one", "--net", "net2")

    def names(*filters: str) -> list[str]:
        words = [word for one in filters for word in ("--filter", one)]
        shown = minirt("network", "ls", "--format", "{{.Name}}", *words).stdout
        return sorted(shown.split())

    assert names("label=team") == ["net1", "net2"]
    assert names("label=team=b") == ["net2"]
    assert names("name=net") == ["net1", "net2"]
    assert names("driver=null") == ["none"]
    assert names("type=builtin") == ["bridge", "host", "none"]
    pruned = minirt("network", "prune", "-f", "--filter", "label=team").stdout
    assert "net1" in pruned.split()
    assert names("type=custom") == ["net2", "other"]
    minirt("network", "prune", "-f")
    assert names("type=custom") == ["net2"]


def test_a_mac_can_be_asked_for_at_connect(minirt: Minirt) -> None:
    minirt("network", "create", "net1")
    one, two = guest(minirt, "one"), guest(minirt, "two", "--net", "net1")
    minirt("network", "connect", "--mac-address", "02:12:34:56:78:9b", "net1", "one")
    minirt("exec", "two", "ping", "-c1", "-W5", "one")
    assert "02:12:34:56:78:9b" in two.run("ip", "neigh")
    assert "02:12:34:56:78:9b" in one.run("ip", "link")


def test_the_hosts_gateway_can_have_a_name(minirt: Minirt) -> None:
    minirt("network", "create", "net1")
    for network in ("bridge", "net1"):
        words = ("--net", network, "--add-host", "host.internal:host-gateway")
        minirt("run", "--rm", *words, "busybox", "ping", "-c1", "-W5", "host.internal")


def test_where_ipv6_is_switched_off_who_asks_for_it_has_it_and_nobody_else(minirt: Minirt) -> None:
    shell("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
    shell("sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
    minirt("network", "create", "net1")
    assert "inet6" not in guest(minirt, "one", "--net", "net1").run("ip", "addr", "show", "eth0")
    minirt("network", "create", "--ipv6", "net6")
    shown = guest(minirt, "six", "--net", "net6", "-p", "8080:80").run("ip", "addr", "show", "eth0")
    assert "inet6 fd" in shown


def test_odd_aliases_spoil_nothing_for_the_others(minirt: Minirt) -> None:
    minirt("network", "create", "net1")
    odd = [word for name in ("a b", "c,d", "e\nf", "") for word in ("--network-alias", name)]
    guest(minirt, "one", "--net", "net1", *odd, "--network-alias", "good")
    minirt("run", "--rm", "--net", "net1", "busybox", "ping", "-c1", "-W5", "good")


def test_two_containers_meet_on_a_subnet_without_addresses_to_spare(minirt: Minirt) -> None:
    bridge = ("--subnet", "10.9.0.0/29", "--ip-range", "10.9.0.4/31", "--gateway", "10.9.0.1")
    minirt("network", "create", *bridge, "tiny")
    one, two = guest(minirt, "one", "--net", "tiny"), guest(minirt, "two", "--net", "tiny")
    assert {one.address, two.address} == {"10.9.0.4", "10.9.0.5"}
    minirt("exec", "one", "ping", "-c1", "-W5", "two")


def test_containers_go_out_by_the_address_that_was_chosen(minirt: Minirt, outside: Outside) -> None:
    chosen = {4: "192.0.2.77", 6: "2001:db8:1::77"}
    shell("ip", "addr", "add", f"{chosen[4]}/24", "dev", outside.link)
    shell("ip", "addr", "add", f"{chosen[6]}/64", "dev", outside.link, "nodad")
    outside.run("ip", "addr", "add", "2001:db8:1::2/64", "dev", "eth0", "nodad")
    options = [f"com.docker.network.host_ipv{family}={one}" for family, one in chosen.items()]
    words = [word for one in options for word in ("--opt", one)]
    minirt("network", "create", "--ipv6", *words, "net1")
    one, other = guest(minirt, "one", "--net", "net1"), guest(minirt, "other")
    with served(outside):
        assert one.ask(outside.address, 90) == chosen[4]
        assert one.ask("2001:db8:1::2", 90) == chosen[6]
        assert other.ask(outside.address, 90) == outside.host_address
    minirt("rm", "-f", "one")
    minirt("network", "rm", "net1")
    assert chosen[4] not in shell("nft", "list", "table", "inet", "minirt").stdout
    assert (
        "no IPv6"
        in minirt(
            "network", "create", "--opt", "com.docker.network.host_ipv6=10.0.0.1", "net2", code=None
        ).stderr
    )
