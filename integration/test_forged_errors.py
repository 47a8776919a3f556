"""ICMP errors about connections of others: a container may send them no further than other packets.

The connection tracker calls an error "related" to the connection that it is about. Firewalls often
let pass all that is related: each test sends its error again where minirt's rules do so, too.
"""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from integration import forger
from integration.attempts import mac, send
from integration.forger import IPV4, IPV6, ethernet
from integration.sandbox import Outside, in_netns, over_ipv6, shell, started
from integration.traffic import ask_from, published
from integration.wires import PEER, Machine, machine, network
from minirt.network import spec
from minirt.network.identity import mac_of

SECRET = b"secret"
CLIENT, SERVER = 5555, 7777  # UDP ports


def accept_related() -> None:
    """Let pass all that is related."""
    shell("nft", "insert", "rule", "inet", "minirt", "forward", "ct state related accept")


def errors_at(pid: int) -> Callable[[], int]:
    """Count the errors that arrive in the network of a process."""
    rule = "add table inet t; add chain inet t c { type filter hook prerouting priority -400; }; "
    rule += "add rule inet t c icmp type destination-unreachable counter; "
    rule += "add rule inet t c icmpv6 type packet-too-big counter"
    in_netns(pid, "nft", rule)

    def count() -> int:
        listed = in_netns(pid, "nft", "list", "table", "inet", "t").stdout
        return sum(map(int, re.findall(r"packets (\d+)", listed)))

    return count


def say(pid: int, port: int, to: str) -> None:
    """Send a datagram from a port of a machine; from now on the host knows the connection."""
    family = "AF_INET6" if ":" in to else "AF_INET"
    code = f"import socket; s = socket.socket(socket.{family}, socket.SOCK_DGRAM); "
    code += f"s.bind(('', {port})); s.sendto(b'?', ('{to}', {SERVER}))"
    in_netns(pid, sys.executable, "-Ic", code)


def blame(evil: Machine, to: str, sent: tuple[str, str]) -> None:
    """Send an error to an address, by way of the host: "what you sent has not arrived"."""
    gateway = mac_of(evil.lease.network.gateway4)
    packet = forger.udp(*sent, (CLIENT, SERVER), SECRET)
    send(evil.pid, ethernet(mac(evil), gateway, IPV4, forger.icmp_error(evil.address, to, packet)))


def try_with_and_without_rule(error: Callable[[], None], arrived: Callable[[], int]) -> None:
    """Send an error, accept all that is related, and send it again: only the second one arrives."""
    error()
    assert arrived() == 0
    accept_related()
    error()
    assert arrived() == 1


@contextlib.contextmanager
def server() -> Iterator[None]:
    """Let the host serve at a port, so that it keeps the connections to it."""
    with started(*PEER, "serve", SERVER) as one:
        assert one.stdout and one.stdout.readline()
        yield


@pytest.mark.parametrize("internal", [False, True], ids=["network", "internal network"])
def test_an_error_does_not_reach_another_network(outside: Outside, internal: bool) -> None:
    with machine(network(internal=internal)) as evil, machine(network("net2")) as victim:
        say(victim.pid, CLIENT, outside.address)
        arrived = errors_at(victim.pid)
        # Outside, the host is who has sent it; the tracker translates the error back.
        error = partial(blame, evil, outside.host_address, (outside.host_address, outside.address))
        try_with_and_without_rule(error, arrived)


def test_an_error_does_not_reach_another_network_over_ipv6(outside: Outside) -> None:
    six = over_ipv6(outside)
    one = network(subnets=("10.9.1.0/24", "2001:db8:1::/64"))
    two = network("net2", subnets=("10.9.2.0/24", "2001:db8:2::/64"))
    with machine(one) as evil, machine(two) as victim:
        say(victim.pid, CLIENT, six.address)
        arrived = errors_at(victim.pid)
        datagram = struct.pack("!HHHH", CLIENT, SERVER, 8 + len(SECRET), 0) + SECRET
        packet = forger.ipv6(six.host_address, six.address, socket.IPPROTO_UDP, datagram)
        own, mtu = "2001:db8:1::2", struct.pack("!I", 1280)
        message = forger.icmpv6(own, six.host_address, 2, mtu + packet)  # "packet too big"
        error = forger.ipv6(own, six.host_address, socket.IPPROTO_ICMPV6, message)
        frame = ethernet(mac(evil), mac_of(one.gateway4), IPV6, error)
        try_with_and_without_rule(partial(send, evil.pid, frame), arrived)


def test_no_error_leaves_an_internal_network(outside: Outside) -> None:
    """It may carry a secret to whoever has a connection to the host."""
    with machine(network(internal=True)) as evil, server():
        say(outside.pid, CLIENT, outside.host_address)
        arrived = errors_at(outside.pid)
        error = partial(blame, evil, outside.address, (outside.address, outside.host_address))
        try_with_and_without_rule(error, arrived)


def test_no_error_enters_an_internal_network(outside: Outside) -> None:
    inner = network(internal=True)
    with machine(inner) as victim, machine(network("net2")) as evil, server():
        say(victim.pid, CLIENT, str(inner.gateway4))
        arrived = errors_at(victim.pid)
        error = partial(blame, evil, victim.address, (victim.address, str(inner.gateway4)))
        try_with_and_without_rule(error, arrived)


def test_no_error_comes_around_by_the_gateway_where_containers_are_apart() -> None:
    net = network(options={spec.ICC: "false"})
    with machine(net) as evil, machine(net) as victim, server():
        say(victim.pid, CLIENT, str(net.gateway4))
        arrived = errors_at(victim.pid)
        error = partial(blame, evil, victim.address, (victim.address, str(net.gateway4)))
        try_with_and_without_rule(error, arrived)


def test_true_errors_arrive(outside: Outside) -> None:
    """From outside about what a container has sent, and from a container about its own port."""
    net, other = network(), network("net2")
    with machine(net) as one, machine(other) as two, published(one, "8080:81/udp"):
        refused = "Connection refused"
        assert one.ask(outside.address, 91, "udp") == refused
        assert ask_from(outside, outside.host_address, 8080, "udp") == refused
        assert two.ask(str(net.gateway4), 8080, "udp") == refused
