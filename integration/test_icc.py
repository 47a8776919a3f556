"""Networks whose containers don't reach each other (icc=false), whatever br_netfilter does."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from functools import partial

import pytest

from integration import forger
from integration.attempts import (
    Attempt,
    count_packets,
    local,
    mac,
    own6,
    send,
    try_with_and_without_filter,
)
from integration.conftest import Minirt
from integration.forger import BROADCAST, IPV4, IPV6, ethernet
from integration.sandbox import in_netns, needs_file, shell, started
from integration.traffic import BRIDGED, BRIDGED6, filter_bridges
from integration.wires import Machine, machine, network
from minirt.network import bridge, finding, spec
from minirt.network.identity import host_end

TABLE = ("bridge", "minirt_icc")
GATEWAYS = {"10.9.0.1", "2001:db8:1::1"}

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
    """Take away all that keeps containers apart, and what they have learned by it."""
    for chain in ("prerouting", "forward"):
        shell("nft", "flush", "chain", *TABLE, chain)
    shell("nft", "flush", "chain", "inet", "minirt", "noicc")
    for one in machines:
        port = host_end(one.lease.address.ip)
        shell("ip", "link", "set", port, "type", "bridge_slave", "isolated", "off")
        in_netns(one.pid, "ip", "neigh", "flush", "dev", "eth0")  # failed look-ups


@contextlib.contextmanager
def apart(switches: str) -> Iterator[tuple[Machine, Machine]]:
    """Yield two machines of such a network, under these switches."""
    before, after = switches.split()
    filter_bridges(*before)
    options = {spec.ICC: "false"}
    net = network(subnets=("10.9.0.0/24", "2001:db8:1::/64"), options=options)
    with machine(net) as one, machine(net, name="two") as two:
        filter_bridges(*after)
        yield one, two


def reached(of: Machine, *addresses: str) -> set[str]:
    """Ping all addresses at the same time; return those that answer in a second (gateways: two)."""
    words = ("nsenter", f"--net=/proc/{of.pid}/ns/net", "ping", "-c1", "-I", "eth0")
    pings = {}
    with contextlib.ExitStack() as running:
        for address in addresses:
            wait = "-W2" if address in GATEWAYS else "-W1"
            pings[address] = running.enter_context(started(*words, wait, address))
        return {address for address, ping in pings.items() if ping.wait(20) == 0}


@every_switch
def test_containers_do_not_reach_each_other(switches: str) -> None:
    with apart(switches) as (one, two):
        others = {two.address, own6(two), local(two)}
        ping = partial(reached, one, *others, *GATEWAYS)
        try_with_and_without_filter(
            [Attempt("pings", ping, GATEWAYS, GATEWAYS | others)],
            disable=partial(open_up, one, two),
        )


@every_switch
def test_no_frame_reaches_a_neighbour(switches: str) -> None:
    """Nor by a MAC that the bridge doesn't know, and so sends to all ports."""
    with apart(switches) as (one, two):
        arrived = count_packets(two.pid, "netdev", f"ether saddr {mac(one)} udp dport 4000")
        datagram = b"\x0f\xa0\x0f\xa0\x00\x0e\x00\x00forged"
        six = forger.ipv6(own6(one), own6(two), socket.IPPROTO_UDP, datagram)
        four = forger.udp(one.address, two.address, (4000, 4000))

        def flood(mac_to: str) -> int:
            send(
                one.pid,
                ethernet(mac(one), mac_to, IPV4, four),
                ethernet(mac(one), mac_to, IPV6, six),
            )
            return arrived()

        targets = {"neighbour": mac(two), "broadcast": BROADCAST, "unknown": "02:00:00:00:00:99"}
        try_with_and_without_filter(
            [Attempt(f"to {name}", partial(flood, to), 0, 2) for name, to in targets.items()],
            disable=partial(open_up, one, two),
        )


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
