"""Networks whose containers don't reach each other (icc=false), whatever br_netfilter does."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from integration import forger
from integration.conftest import Minirt
from integration.forger import BROADCAST, IPV4, IPV6, ethernet
from integration.sandbox import in_netns, needs_file, shell
from integration.test_neighbour_discovery import local, own6
from integration.test_network_spoofing import either_filter, mac, send
from integration.traffic import BRIDGED, BRIDGED6, filter_bridges
from integration.wires import Machine, machine, network
from minirt.network import bridge, finding, spec
from minirt.network.identity import host_end

TABLE = ("bridge", "minirt_icc")

# Of IPv4 and IPv6, when the containers start and later.
every_switch = pytest.mark.parametrize(
    "switches",
    [
        "00 00",
        *(
            pytest.param(one, marks=[needs_file(BRIDGED), needs_file(BRIDGED6)])
            for one in ("01 01", "10 10", "11 11", "00 11", "11 00", "10 00", "01 10")
        ),
    ],
)


def open_up(*machines: Machine) -> None:
    """Take away all that keeps containers apart."""
    for chain in ("prerouting", "forward"):
        shell("nft", "flush", "chain", *TABLE, chain)
    shell("nft", "flush", "chain", "inet", "minirt", "noicc")
    for one in machines:
        port = host_end(one.lease.address.ip)
        shell("ip", "link", "set", port, "type", "bridge_slave", "isolated", "off")


@contextlib.contextmanager
def apart(switches: str, filtered: bool) -> Iterator[tuple[Machine, Machine]]:
    """Yield two machines of such a network, under these switches."""
    before, after = switches.split()
    filter_bridges(*before)
    options = {spec.ICC: "false"}
    net = network(subnets=("10.9.0.0/24", "2001:db8:1::/64"), options=options)
    with machine(net) as one, machine(net, name="two") as two:
        filter_bridges(*after)
        if not filtered:
            open_up(one, two)
        yield one, two


@every_switch
@either_filter
def test_containers_do_not_reach_each_other(switches: str, filtered: bool) -> None:
    with apart(switches, filtered) as (one, two):
        for address in (two.address, own6(two), local(two)):
            ping = ("ping", "-c1", "-W1", "-I", "eth0", address)
            reached = in_netns(one.pid, *ping, code=None).returncode == 0
            assert reached is not filtered, address
        for gateway in ("10.9.0.1", "2001:db8:1::1"):
            in_netns(one.pid, "ping", "-c1", "-W2", gateway)


@every_switch
@either_filter
@pytest.mark.parametrize("to", ["neighbour", "broadcast", "nobody"])
def test_no_frame_reaches_a_neighbour(switches: str, filtered: bool, to: str) -> None:
    """Nor by a MAC that the bridge doesn't know, and so sends to all ports."""
    with apart(switches, filtered) as (one, two):
        rule = "add table netdev t; add chain netdev t c "
        rule += "{ type filter hook ingress device eth0 priority 0; }; add rule netdev t c "
        in_netns(two.pid, "nft", f"{rule} ether saddr {mac(one)} udp dport 4000 counter")
        mac_to = {"neighbour": mac(two), "broadcast": BROADCAST, "nobody": "02:00:00:00:00:99"}[to]
        datagram = b"\x0f\xa0\x0f\xa0\x00\x0e\x00\x00forged"
        six = forger.ipv6(own6(one), own6(two), socket.IPPROTO_UDP, datagram)
        four = forger.udp(one.address, two.address, (4000, 4000))
        send(one.pid, ethernet(mac(one), mac_to, IPV4, four), ethernet(mac(one), mac_to, IPV6, six))
        packets = 0 if filtered else 2
        counted = in_netns(two.pid, "nft", "list", "table", "netdev", "t").stdout
        assert f"packets {packets} " in counted


def test_a_neighbours_published_port_is_reached_again_after_a_flush_and_nothing_else() -> None:
    filter_bridges("1")
    net = network(options={spec.ICC: "false"})
    with machine(net) as one, machine(net, name="two") as two:
        shell("nft", "flush", "ruleset")
        bridge.ensure(finding.find(net.name))
        assert one.ask(two.address, 80) in ("timeout", "No route to host")
        assert host_end(two.lease.address.ip) in shell("nft", "list", "table", *TABLE).stdout


def test_what_is_known_of_the_ports_goes_with_their_network(minirt: Minirt) -> None:
    net = network(options={spec.ICC: "false"})
    other = network("net2", options={spec.ICC: "false"})
    with machine(net) as one, machine(other, name="two", mac="02:00:00:00:00:77") as two:
        ports = [host_end(each.lease.address.ip) for each in (one, two)]
    listed = shell("nft", "list", "table", *TABLE).stdout
    assert all(port in listed for port in ports)
    minirt("network", "rm", "net2")
    listed = shell("nft", "list", "table", *TABLE).stdout
    assert ports[0] in listed and mac(one) in listed
    assert ports[1] not in listed and "02:00:00:00:00:77" not in listed
