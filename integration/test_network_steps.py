"""The story is true: who types its commands gets the same network."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Any

import pytest

from integration.sandbox import another_network, shell, started, wait_until
from minirt.kernel import namespaces, netlink, nftables, processes, steps
from minirt.kernel.namespaces import Netns
from minirt.network import bridge, create, endpoint, leases, nat, port_syntax, ports
from minirt.network.plan import Plan


@pytest.fixture(autouse=True)
def fall_silent() -> Iterator[None]:
    yield
    steps.send_to(None)


def look(netns: Netns) -> dict[str, Any]:
    """Return all that can be seen of a network, but for what is counted or random."""
    with namespaces.inside(netns):
        shown = {
            name: json.loads(shell("ip", "-json", "-details", *words.split()).stdout)
            for name, words in (("links", "addr"), ("routes", "route"), ("routes6", "-6 route"))
        }
        rules = shell("nft", "--json", "list", "ruleset").stdout
        switches = shell("sysctl", "-ar", r"ip_forward$|route_localnet|accept_ra$|disable_ipv6")
    for link in shown["links"]:
        for random in ("link_index", "link_netnsid", "ifindex", "operstate", "flags"):
            link.pop(random, None)
        if link["ifname"].startswith("veth"):
            del link["address"]
        link["linkinfo"] = (
            link.get("linkinfo", {}).get("info_kind"),
            [
                link.get("linkinfo", {}).get("info_slave_data", {}).get(key)
                for key in ("hairpin", "isolated")
            ],
        )
        for address in link["addr_info"]:
            address.pop("tentative", None)
    shown["rules"] = without_handles(json.loads(rules))
    shown["switches"] = switches.stdout.splitlines()
    return shown


def without_handles(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {
            key: sorted(map(str, one)) if key == "elem" else without_handles(one)
            for key, one in tree.items()
            if key not in ("handle", "metainfo")
        }
    return [without_handles(one) for one in tree] if isinstance(tree, list) else tree


def build(there: Netns) -> None:
    """Make a network with one container's end on it, and a published port."""
    net = create.create(Plan("net1", options={"com.docker.network.driver.mtu": "1400"}))
    lease = leases.take(net)
    bridge.ensure(net)
    endpoint.plug(net, lease, there, interface="eth0")
    held = ports.reserve(port_syntax.parse(["8080:80", "127.0.0.1:9090:90/udp"]))
    nat.publish(held, lease.address)
    nat.unpublish(held[-1:], lease.address)
    ports.close(held)
    leases.release(lease)


def test_the_told_commands_typed_by_hand_give_the_same_network() -> None:
    told: list[str] = []
    with (
        another_network() as one,
        another_network() as two,
        another_network() as host,
        namespaces.network_of(one) as first,
        namespaces.network_of(two) as second,
        namespaces.network_of(host) as again,
        namespaces.network_of(os.getpid()) as own,
    ):
        steps.send_to(lambda step: told.append(step.command))
        build(first)
        steps.send_to(None)
        script = "\n".join(told).replace(first.path, second.path)
        assert script.count("\n") > 10
        with namespaces.inside(again):
            shell("ip", "link", "set", "lo", "up")
            lines = [line for line in script.splitlines() if not line.startswith("nc ")]
            shell("sh", "-e", "-c", "\n".join(lines))
        for mine, typed in ((own, again), (first, second)):
            assert look(mine) == look(typed)
    shell("nft", "flush", "ruleset")


def test_the_import_of_pyroute2_leaves_the_whole_package_to_others() -> None:
    code = """
import sys
from minirt.kernel.netlink import survey
with survey.look() as ground:
    before = ground.devices()
assert "asyncio" not in sys.modules and "pyroute2" not in sys.modules
from pyroute2 import IPRoute
with IPRoute() as ipr, survey.look() as ground:
    print(len(ipr.get_links()), before[0].name, ground.devices() == before)
"""
    assert shell(sys.executable, "-c", code).stdout.split() == ["1", "lo", "True"]


def test_a_forked_child_does_not_use_its_parents_context() -> None:
    """They would read each other's answers: the socket is one."""
    nftables.run("add table inet minirt_a")

    def child() -> int:
        nftables.run("add table inet minirt_b")
        return 0 if "minirt_a" in nftables.ask("list tables") else 1

    assert processes.wait(processes.fork(child)) == 0
    assert "minirt_b" in nftables.ask("list tables")
    nftables.run("delete table inet minirt_a; delete table inet minirt_b")


def test_errors_of_the_filter_say_why_and_are_what_python_calls_them() -> None:
    with pytest.raises(FileNotFoundError, match="No such file"):
        nftables.run("add element inet nosuch x { 1 }")
    with pytest.raises(OSError, match="syntax error"):
        nftables.run("bla bla")
    nftables.run("add table inet minirt_a")
    with pytest.raises(FileExistsError):
        nftables.run("create table inet minirt_a")
    nftables.run("delete table inet minirt_a")


def test_the_kernels_own_words_are_kept() -> None:
    with netlink.connect() as links:
        links.add_bridge("test-br", "02:42:0a:00:00:01")
        bridge_ = links.find("test-br")
        assert bridge_ and bridge_.kind == "bridge" and bridge_.up
        links.add_address(bridge_, IPv4Interface("10.9.0.1/24"))
        with pytest.raises(FileExistsError):
            links.add_address(bridge_, IPv4Interface("10.9.0.1/24"))
        with pytest.raises(OSError, match=r"Invalid|mtu"):
            links.set_mtu(bridge_, 5)
        assert links.find("nosuch") is None
        links.delete(bridge_)


def test_no_program_inherits_a_socket_of_the_filter() -> None:
    nftables.run("add table inet minirt_a; delete table inet minirt_a")
    with started("sleep", "infinity", close_fds=False) as child:
        its = Path(f"/proc/{child.pid}")
        wait_until(lambda: (its / "comm").read_text() == "sleep\n")
        held = shell("ls", "-l", its / "fd", code=None).stdout  # Its loader may just close a file.
        assert "null" in held
        assert "socket" not in held
