"""A damaged bridge, and a filter that is gone or of another minirt: the next command mends both."""

from __future__ import annotations

from pathlib import Path

import pytest

from integration.sandbox import Outside, another_network, shell
from integration.traffic import ask_from, published
from integration.wires import ask, machine, network
from minirt.kernel import namespaces, netlink, sysctl
from minirt.kernel.netlink import messages
from minirt.network import bridge, leases, port_binding


def test_a_filter_that_somebody_flushed_comes_back_with_all_ports(outside: Outside) -> None:
    net = network()
    with machine(net) as one, published(one, "8080:80") as bindings:
        facts = [port_binding.to_json(each) for each in bindings]
        leases.write(one.lease, leases.Facts("c" * 64, "one", one.pid, ports=facts))
        shell("nft", "flush", "ruleset")
        assert ask_from(outside, outside.host_address, 8080) not in (outside.address,)
        bridge.ensure(net)
        assert ask_from(outside, outside.host_address, 8080) == outside.address


@pytest.mark.parametrize(
    "damage",
    [
        "ip link set {} down",
        "ip addr flush dev {}",
        "sysctl -qw net.ipv4.conf.{}.route_localnet=0",
        "sysctl -qw net.ipv4.ip_forward=0",
    ],
)
def test_a_damaged_bridge_is_mended(outside: Outside, damage: str) -> None:
    net = network()
    with machine(net) as one, published(one, "8080:80"):
        shell(*damage.format(net.bridge).split())
        bridge.ensure(net)
        assert ask("127.0.0.1", 8080) == str(net.gateway4)
        assert one.ask(outside.host_address, 8080) == str(net.gateway4)


@pytest.mark.parametrize("path", messages.SWITCHES)
@pytest.mark.parametrize("value", ["0", "1"])
def test_how_a_switch_stands_is_told_with_the_link(path: str, value: str) -> None:
    net = network()
    name = path.replace("IFNAME", net.bridge)
    sysctl.write(name, value)
    with netlink.connect() as links:
        found = links.find(net.bridge)
    assert found is not None
    assert netlink.switch(found, path) == sysctl.read(name) == value


@pytest.mark.parametrize(
    ("path", "wrong", "right"),
    [
        ("net/ipv4/conf/IFNAME/arp_ignore", "0", "8"),
        ("net/ipv6/conf/IFNAME/accept_ra", "1", "0"),
        ("net/ipv6/conf/IFNAME/disable_ipv6", "0", "1"),
    ],
)
def test_a_switch_that_somebody_has_turned_is_turned_back(
    path: str, wrong: str, right: str
) -> None:
    net = network(
        options={"com.docker.network.bridge.gateway_mode_ipv4": "isolated"}, internal=True
    )
    name = path.replace("IFNAME", net.bridge)
    assert sysctl.read(name) == right
    sysctl.write(name, wrong)
    bridge.ensure(net)
    assert sysctl.read(name) == right


def test_a_bridge_of_somebody_elses_may_forward_alone_and_the_machine_does_all_the_same() -> None:
    shell("ip", "link", "add", "mine", "up", "type", "bridge")
    net = network(options={"com.docker.network.bridge.name": "mine"})
    assert net.adopted
    sysctl.write("net/ipv4/ip_forward", "0")
    sysctl.write("net/ipv4/conf/mine/forwarding", "1")
    bridge.ensure(net)
    assert sysctl.read("net/ipv4/ip_forward") == "1"


def test_a_deleted_bridge_comes_back_for_the_next_container() -> None:
    net = network()
    shell("ip", "link", "del", net.bridge)
    with machine(net) as one, machine(net) as two:
        assert one.ask(two.address, 80) == one.address


def test_a_network_comes_back_after_a_reboot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = network()
    monkeypatch.setenv("MINIRT_RUNROOT", str(tmp_path / "run"))
    with (
        another_network() as pid,
        namespaces.network_of(pid) as fresh,
        namespaces.inside(fresh),
        machine(net) as one,
        machine(net) as two,
    ):
        assert one.ask(two.address, 80) == one.address


def test_a_filter_of_an_older_minirt_is_renewed_and_keeps_its_elements(outside: Outside) -> None:
    net = network()
    with machine(net) as one, published(one, "8080:80"):
        for table in ("inet", "bridge"):
            shell("nft", "flush", "chain", table, "minirt", "prerouting")
        shell("nft", "flush", "set", "inet", "minirt", "version")
        assert ask_from(outside, outside.host_address, 8080) != outside.address
        bridge.ensure(net)
        assert ask_from(outside, outside.host_address, 8080) == outside.address
        assert "vmap @ports" in shell("nft", "list", "table", "bridge", "minirt").stdout


def test_a_filter_of_a_minirt_with_other_sets_is_replaced_by_todays(outside: Outside) -> None:
    net = network()
    with machine(net) as one, published(one, "8080:80") as bindings:
        facts = [port_binding.to_json(each) for each in bindings]
        leases.write(one.lease, leases.Facts("c" * 64, "one", one.pid, ports=facts))
        shell("nft", "delete table inet minirt; add table inet minirt")
        shell("nft", "add map inet minirt pub4_any { type inet_service : ipv4_addr; }")
        bridge.ensure(net)
        assert ask_from(outside, outside.host_address, 8080) == outside.address
