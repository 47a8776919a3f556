"""Tables of the kernel that containers share, and that one container can fill: not defended.

docs/isolation.md, "What is not defended". Each test shows first that the neighbour has the service
while nobody fills the table.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path

from integration import forger
from integration.sandbox import in_netns, shell
from integration.wires import Machine, machine, network
from minirt.network.identity import mac_of
from minirt.network.spec import Network

GROUPS = 4096  # of a bridge: mcast_hash_max of ip-link(8)
FRAGMENTS = 4000  # of 1400 bytes: more than net.ipv4.ipfrag_high_thresh, 4 MiB

# Sends COUNT frames, which a function of this file makes: REPOSITORY FUNCTION COUNT ARGUMENT…
SENDER = """
import socket, sys
sys.path.insert(0, sys.argv[1])
from integration.test_shared_tables import *
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
    wire.bind(("eth0", 0))
    for number in range(int(sys.argv[3])):
        wire.send(globals()[sys.argv[2]](number, *sys.argv[4:]))
"""


def membership(number: int, mac: str, address: str) -> bytes:
    """Return a frame by which a machine joins one of many groups (RFC 2236)."""
    group = IPv4Address(0xEF000000 + number)
    to = "01:00:5e:" + group.packed[1:].hex(":")
    return forger.ethernet(mac, to, forger.IPV4, forger.igmp(address, 0x16, str(group), str(group)))


def fragment(number: int, mac: str, address: str, gateway_mac: str, gateway: str) -> bytes:
    """Return the beginning of a datagram whose other fragments never come."""
    packet = forger.first_fragment(address, gateway, number)
    return forger.ethernet(mac, gateway_mac, forger.IPV4, packet)


def send(sender: Machine, kind: Callable[..., bytes], count: int, *words: object) -> None:
    own = (mac_of(sender.lease.address.ip), sender.address)
    words = (Path(__file__).parents[1], kind.__name__, count, *own, *words)
    in_netns(sender.pid, sys.executable, "-c", SENDER, *words)


def snoops(net: Network) -> bool:
    (found,) = json.loads(shell("ip", "-d", "-j", "link", "show", net.bridge).stdout)
    return bool(found["linkinfo"]["info_data"]["mcast_snooping"])


def test_more_multicast_groups_than_a_bridge_keeps_end_its_snooping() -> None:
    net = network()
    with machine(net) as greedy:
        send(greedy, membership, GROUPS // 2)
        assert snoops(net)
        send(greedy, membership, GROUPS + 100)
        assert not snoops(net)


def test_fragments_without_an_end_keep_the_host_from_reassembling() -> None:
    net = network()
    with machine(net) as greedy, machine(net) as neighbour:
        long = ("ping", "-c1", "-W2", "-s4000", net.gateway4)
        in_netns(neighbour.pid, *long)
        send(greedy, fragment, FRAGMENTS, mac_of(net.gateway4), net.gateway4)
        in_netns(neighbour.pid, *long, code=1)
        in_netns(neighbour.pid, "ping", "-c1", "-W2", net.gateway4)
