"""Who reaches whom, with real packets; Docker's behaviour unless a comment says otherwise."""

from __future__ import annotations

import os
import socket
import subprocess

import pytest

from integration.sandbox import PATIENCE, Outside, in_netns, shell, started
from integration.traffic import (
    UNREACHED,
    ask_from,
    either_bridge,
    filter_bridges,
    published,
)
from integration.wires import PEER, ask, machine, network
from minirt.network import endpoint, nat, spec
from minirt.network.port_binding import Binding


def test_two_on_one_network_reach_each_other_by_their_own_addresses() -> None:
    net = network()
    with machine(net) as one, machine(net) as two:
        assert (one.address, two.address) == ("172.18.0.2", "172.18.0.3")
        for protocol in ("tcp", "udp"):
            assert one.ask(two.address, 80, protocol) == one.address
        in_netns(two.pid, "ping", "-c1", "-W2", one.address)


def test_the_host_reaches_a_container_and_a_container_its_gateway(outside: Outside) -> None:
    net = network()
    with machine(net) as one:
        assert ask(one.address, 80) == str(net.gateway4)
        in_netns(one.pid, "ping", "-c1", "-W2", str(net.gateway4))


def test_what_leaves_the_network_bears_the_hosts_address(outside: Outside) -> None:
    with (
        machine(network()) as one,
        subprocess.Popen(
            [*outside.enter(), *map(str, PEER), "serve", "90"], stdout=subprocess.PIPE
        ) as server,
    ):
        assert server.stdout and server.stdout.readline()
        for protocol in ("tcp", "udp"):
            assert one.ask(outside.address, 90, protocol) == outside.host_address
        server.kill()


def test_without_masquerade_the_outside_sees_the_containers_own_address(outside: Outside) -> None:
    net = network(options={spec.MASQUERADE: "false"})
    outside.run("ip", "route", "add", str(net.subnet4), "via", outside.host_address)
    with (
        machine(net) as one,
        subprocess.Popen(
            [*outside.enter(), *map(str, PEER), "serve", "90"], stdout=subprocess.PIPE
        ) as server,
    ):
        assert server.stdout and server.stdout.readline()
        assert one.ask(outside.address, 90) == one.address
        server.kill()


@either_bridge
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_published_port_is_reached_from_everywhere(
    outside: Outside, protocol: str, bridged: str
) -> None:
    filter_bridges(bridged)
    net, other = network(), network("net2")
    with (
        machine(net) as one,
        machine(net) as peer,
        machine(other) as stranger,
        published(one, f"8080:80/{protocol}"),
    ):
        host = outside.host_address
        assert ask_from(outside, host, 8080, protocol) == outside.address  # nobody in between
        assert ask("127.0.0.1", 8080, protocol) == str(net.gateway4)
        assert ask(host, 8080, protocol) == host
        assert one.ask(host, 8080, protocol) == str(net.gateway4)  # itself, over the host
        assert peer.ask(host, 8080, protocol) in (str(net.gateway4), peer.address)
        assert peer.ask(str(net.gateway4), 8080, protocol) in (str(net.gateway4), peer.address)
        assert stranger.ask(host, 8080, protocol) not in UNREACHED


def test_a_port_on_one_address_is_open_there_only(outside: Outside) -> None:
    with machine(network()) as one, published(one, "127.0.0.1:8080:80"):
        assert ask("127.0.0.1", 8080) not in UNREACHED
        assert ask_from(outside, outside.host_address, 8080) == "Connection refused"
    with machine(network("net2")) as one, published(one, f"{outside.host_address}:8080:80"):
        assert ask_from(outside, outside.host_address, 8080) == outside.address
        assert ask("127.0.0.1", 8080) == "Connection refused"


def test_a_port_whose_holder_is_dead_leads_nowhere_though_its_element_is_left(
    outside: Outside,
) -> None:
    with machine(network()) as one, published(one, "8080:80") as bindings:
        assert ask_from(outside, outside.host_address, 8080) == outside.address
        for binding in bindings:
            for fd in binding.sockets:
                os.close(fd)
        assert ask_from(outside, outside.host_address, 8080) == "Connection refused"
        bindings[:] = [
            Binding(b.protocol, b.container_port, b.host_ip, b.host_port) for b in bindings
        ]


def test_ports_that_are_not_published_are_closed_to_the_outside(outside: Outside) -> None:
    net = network()
    outside.run("ip", "route", "add", str(net.subnet4), "via", outside.host_address)
    with machine(net) as one, published(one, "8080:81"):
        assert ask_from(outside, one.address, 80) == "timeout"
        shell("nft", "flush", "chain", "inet", "minirt", "forward")  # The control.
        assert ask_from(outside, one.address, 80) == outside.address


def test_networks_are_closed_to_each_other() -> None:
    with machine(network()) as one, machine(network("net2")) as two:
        for protocol in ("tcp", "udp"):
            assert one.ask(two.address, 80, protocol) == "timeout"


def test_an_internal_network_has_no_way_out_nor_in(outside: Outside) -> None:
    net = network(internal=True)
    outside.run("ip", "route", "add", str(net.subnet4), "via", outside.host_address)
    with machine(net) as one, machine(net) as peer, machine(network("net2")) as stranger:
        assert one.ask(peer.address, 80) == one.address
        assert one.ask(outside.address, 90) == "timeout"  # although it has a default route
        assert stranger.ask(one.address, 80) == "timeout"
        assert ask_from(outside, one.address, 80) == "timeout"


@either_bridge
def test_without_icc_containers_reach_each_other_by_published_ports_only(
    outside: Outside, bridged: str
) -> None:
    filter_bridges(bridged)
    net = network(options={spec.ICC: "false"})
    with machine(net) as one, machine(net) as two, published(two, "8080:80"):
        assert one.ask(two.address, 80) in ("timeout", "No route to host")  # no ARP, or no IP
        assert one.ask(outside.host_address, 8080) not in UNREACHED


def test_the_loopback_of_the_host_is_no_business_of_neighbours(outside: Outside) -> None:
    with (
        machine(network()) as one,
        subprocess.Popen([*map(str, PEER), "serve", "99"], stdout=subprocess.PIPE) as server,
    ):
        assert server.stdout and server.stdout.readline()
        gateway = str(one.lease.network.gateway4)
        assert one.ask(gateway, 99) == one.address  # what listens everywhere is reached
        in_netns(one.pid, "sysctl", "-qw", "net.ipv4.conf.eth0.route_localnet=1")
        in_netns(one.pid, "ip", "route", "del", "local", "127.0.0.0/8", "dev", "lo", code=None)
        in_netns(one.pid, "ip", "addr", "del", "127.0.0.1/8", "dev", "lo")
        in_netns(one.pid, "ip", "route", "add", "127.0.0.1/32", "via", gateway, "dev", "eth0")
        assert one.ask("127.0.0.1", 99) == "timeout"
        shell("nft", "flush", "chain", "inet", "minirt", "guard")  # The control.
        assert one.ask("127.0.0.1", 99) == one.address
        server.kill()


def test_what_has_nothing_to_do_with_our_networks_is_left_to_other_tables(
    outside: Outside,
) -> None:
    """A host that is a router stays one: the filter neither drops nor translates the rest."""
    network()
    with started("unshare", "--net", *PEER, "serve", 80) as far:
        assert far.stdout and far.stdout.readline()
        far_end = ("peer", "name", "eth0", "netns", far.pid)
        shell("ip", "link", "add", "test-far", "up", "type", "veth", *far_end)
        shell("ip", "addr", "add", "198.51.100.1/24", "dev", "test-far")
        in_netns(far.pid, "ip", "addr", "add", "198.51.100.2/24", "dev", "eth0")
        in_netns(far.pid, "ip", "link", "set", "eth0", "up")
        in_netns(far.pid, "ip", "route", "add", "default", "via", "198.51.100.1")
        outside.run("ip", "route", "add", "198.51.100.0/24", "via", outside.host_address)
        assert ask_from(outside, "198.51.100.2", 80) == outside.address


def test_a_udp_client_that_never_stops_sending_finds_the_new_way() -> None:
    """The packet filter remembers where its first packet went (Docker's issue 8795)."""
    net = network()
    with machine(net) as one, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect((str(net.gateway4), 8080))
        client.settimeout(0.3 * PATIENCE)

        def answer() -> bytes:
            try:
                client.send(b"?")
                return client.recv(100)
            except TimeoutError:
                return b""
            except ConnectionRefusedError:
                return b"refused"

        assert answer() == b"refused"
        with published(one, "8080:80/udp"):
            assert answer() == str(net.gateway4).encode()
            with machine(net, name="two") as two:
                nat.publish(
                    [Binding("udp", 80, "0.0.0.0", 8080)], two.lease.address
                )  # as after a restart at another address
                endpoint.unplug(one.lease.address)
                assert answer() == str(net.gateway4).encode()
                nat.publish([Binding("udp", 80, "0.0.0.0", 8080)], one.lease.address)
            assert answer() == b""
        assert answer() == b"refused"
