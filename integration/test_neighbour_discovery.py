"""IPv6 on one Ethernet: no container can claim an address of a neighbour, a gateway or the host."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import socket
import struct
from collections.abc import Callable, Iterator
from functools import partial

from integration import forger
from integration.attempts import (
    FOREIGN,
    Attempt,
    count_packets,
    host_neighbour,
    local,
    mac,
    neighbour,
    own6,
    resolve,
    send,
    try_with_and_without_filter,
)
from integration.conftest import Minirt
from integration.containers import pid_of
from integration.forger import IPV4, IPV6, PROVIDER_VLAN, VLAN, ethernet
from integration.sandbox import in_netns, shell, wait_until
from integration.wires import Machine, machine, network
from minirt.network.identity import host_end, link_local, mac_of
from minirt.network.spec import Network

ICMPV6 = socket.IPPROTO_ICMPV6
HOP_BY_HOP, DESTINATION_OPTIONS, FRAGMENT = 0, 60, 44  # RFC 8200, section 4.1
ALL_NODES, ALL_NODES_MAC = "ff02::1", "33:33:00:00:00:01"
ADDRESSES = ("neighbour", "neighbour's link-local", "gateway", "gateway's link-local")


def dual() -> Network:
    """Make a network of both families."""
    return network(subnets=("10.9.0.0/24", "2001:db8:1::/64"))


Attackers = dict[str, Machine]  # by the capability that they have beyond the default ones


@contextlib.contextmanager
def scene() -> Iterator[tuple[Network, Attackers, Machine, Machine]]:
    """Yield a network with two attackers, a victim, and a third machine.

    The victim accepts fragmented messages, which Linux ignores by default.
    """
    net = dual()
    with (
        machine(net) as evil,
        machine(net, trusted=True) as trusted,
        machine(net) as victim,
        machine(net) as third,
    ):
        in_netns(victim.pid, "sysctl", "-qw", "net.ipv6.conf.eth0.suppress_frag_ndisc=0")
        yield net, {"default": evil, "NET_ADMIN": trusted}, victim, third


def claimed(net: Network, third: Machine, whose: str) -> tuple[str, str]:
    """Return the address that is claimed, and the MAC that it really has."""
    gateway = mac_of(net.gateway4)
    return {
        "neighbour": (own6(third), mac(third)),
        "neighbour's link-local": (local(third), mac(third)),
        "gateway": ("2001:db8:1::1", gateway),
        "gateway's link-local": (str(link_local(gateway)), gateway),
    }[whose]


Frames = Callable[[str, str, str], list[bytes]]  # from the MAC, source and target to frames


def plain(own: str, source: str, target: str) -> list[bytes]:
    message = forger.advertisement(source, ALL_NODES, target, own)
    return [ethernet(own, ALL_NODES_MAC, IPV6, forger.ipv6(source, ALL_NODES, ICMPV6, message))]


def from_the_address_itself(own: str, source: str, target: str) -> list[bytes]:
    return plain(own, target, target)


def behind(kind: int) -> Frames:
    def frames(own: str, source: str, target: str) -> list[bytes]:
        message = forger.advertisement(source, ALL_NODES, target, own)
        packet = forger.ipv6(source, ALL_NODES, kind, forger.options(ICMPV6, message))
        return [ethernet(own, ALL_NODES_MAC, IPV6, packet)]

    return frames


# A packet with the identification of an earlier one would join its fragments, which the victim
# keeps for a minute.
_identifications = itertools.count(0x6D696E69)


def in_fragments(*headers: int, cuts: tuple[int, ...]) -> Frames:
    """Cut the message, behind headers of options, at these offsets in bytes."""

    def frames(own: str, source: str, target: str) -> list[bytes]:
        payload, kind = forger.advertisement(source, ALL_NODES, target, own), ICMPV6
        for header in headers:
            payload, kind = forger.options(kind, payload), header
        found: list[bytes] = []
        identification = next(_identifications)
        for start, end in zip((0, *cuts), (*cuts, len(payload)), strict=True):
            more, part = end < len(payload), payload[start:end]
            part = forger.fragment(kind, part, start, more=more, number=identification)
            packet = forger.ipv6(source, ALL_NODES, FRAGMENT, part)
            found.append(ethernet(own, ALL_NODES_MAC, IPV6, packet))
        return found

    return frames


def with_tag(kind: int) -> Frames:
    def frames(own: str, source: str, target: str) -> list[bytes]:
        message = forger.advertisement(source, ALL_NODES, target, own)
        packet = forger.ipv6(source, ALL_NODES, ICMPV6, message)
        return [ethernet(own, ALL_NODES_MAC, kind, forger.tagged(IPV6, packet))]

    return frames


def as_a_question(own: str, source: str, target: str) -> list[bytes]:
    """Ask for all machines in the name of the target: each learns the MAC of the sender."""
    frames = []
    for number in range(1, 6):
        asked = f"2001:db8:1::{number}"
        group, group_mac = f"ff02::1:ff00:{number}", f"33:33:ff:00:00:{number:02x}"
        message = forger.solicitation(target, group, asked, forger.link_option(1, own))
        packet = forger.ipv6(target, group, ICMPV6, message)
        frames.append(ethernet(own, group_mac, IPV6, packet))
    return frames


def claim(evil: Machine, victim: Machine, known: tuple[str, str], frames: Frames) -> str:
    """Claim an address that the victim knows; return the MAC under which it then knows it."""
    address, genuine = known
    assert resolve(victim.pid, address) == genuine
    send(evil.pid, *frames(mac(evil), local(evil), address))
    return neighbour(victim.pid, address)


def test_nobody_believes_a_forged_neighbour_advertisement() -> None:
    with scene() as (net, attackers, victim, third):
        try_with_and_without_filter(
            [
                Attempt(
                    f"{whose}, {right}",
                    partial(claim, evil, victim, known, plain),
                    filtered=known[1],
                    unfiltered=mac(evil),
                )
                for right, evil in attackers.items()
                for whose in ADDRESSES
                for known in [claimed(net, third, whose)]
            ]
        )


DISGUISES = {
    "from the address itself": from_the_address_itself,
    "as a question": as_a_question,
    "behind destination options": behind(DESTINATION_OPTIONS),
    "behind hop-by-hop options": behind(HOP_BY_HOP),
    "in one fragment": in_fragments(cuts=()),
    "in two fragments": in_fragments(cuts=(8,)),
    "cut before its option": in_fragments(cuts=(24,)),
    "in fragments behind options": in_fragments(DESTINATION_OPTIONS, cuts=(16,)),
    "in fragments behind many options": in_fragments(
        DESTINATION_OPTIONS, DESTINATION_OPTIONS, cuts=(32,)
    ),
    "priority tag": with_tag(VLAN),
    "tag of a provider": with_tag(PROVIDER_VLAN),
}


def test_no_disguise_helps_it() -> None:
    with scene() as (_net, attackers, victim, third):
        known = own6(third), mac(third)
        try_with_and_without_filter(
            [
                Attempt(
                    f"{name}, {right}",
                    partial(claim, evil, victim, known, disguise),
                    filtered=mac(third),
                    unfiltered=mac(evil),
                )
                for right, evil in attackers.items()
                for name, disguise in DISGUISES.items()
            ]
        )


def test_a_first_fragment_without_the_message_does_not_pass() -> None:
    """Linux reassembles none (RFC 7112), other systems may: so it must not even arrive."""
    disguises = {
        "the first fragment is all options": in_fragments(DESTINATION_OPTIONS, cuts=(8,)),
        "the first fragment is empty": in_fragments(DESTINATION_OPTIONS, cuts=(0, 8)),
    }
    with scene() as (_net, attackers, _victim, third):
        # After the filter; a bridge with multicast snooping drops such a fragment later.
        hook = "type filter hook prerouting priority 0"
        table = f"add table bridge t; add chain bridge t c {{ {hook}; }}"
        rule = "add rule bridge t c ether type ip6 frag frag-off 0 counter"

        def send_first(evil: Machine, disguise: Frames) -> int:
            shell("nft", f"{table}; flush chain bridge t c; {rule}")
            first, *_ = disguise(mac(evil), local(evil), own6(third))
            send(evil.pid, first)
            listed = shell("nft", "list", "table", "bridge", "t").stdout
            (packets,) = re.findall(r"packets (\d+)", listed)
            return int(packets)

        try_with_and_without_filter(
            [
                Attempt(f"{name}, {right}", partial(send_first, evil, disguise), 0, 1)
                for right, evil in attackers.items()
                for name, disguise in disguises.items()
            ]
        )
        shell("nft", "delete", "table", "bridge", "t")


def test_nor_does_the_host_believe_it() -> None:
    with scene() as (net, attackers, _victim, third):

        def claim_to_the_host(evil: Machine) -> str:
            shell("ip", "neigh", "del", own6(third), "dev", net.bridge, code=None)
            shell("ping", "-c1", "-W2", own6(third))
            assert host_neighbour(own6(third), net.bridge) == mac(third)
            send(evil.pid, *plain(mac(evil), local(evil), own6(third)))
            return host_neighbour(own6(third), net.bridge)

        try_with_and_without_filter(
            [
                Attempt(right, partial(claim_to_the_host, evil), mac(third), mac(evil))
                for right, evil in attackers.items()
            ]
        )


def test_an_advertisement_with_another_mac_than_its_senders_is_dropped() -> None:
    def advertise_another(own: str, source: str, target: str) -> list[bytes]:
        message = forger.advertisement(target, ALL_NODES, target, FOREIGN)
        return [ethernet(own, ALL_NODES_MAC, IPV6, forger.ipv6(target, ALL_NODES, ICMPV6, message))]

    with scene() as (_net, attackers, victim, _third):
        try_with_and_without_filter(
            [
                Attempt(
                    right,
                    partial(claim, evil, victim, (own6(evil), mac(evil)), advertise_another),
                    filtered=mac(evil),
                    unfiltered=FOREIGN,
                )
                for right, evil in attackers.items()
            ]
        )


def test_a_packet_from_the_address_of_another_does_not_arrive() -> None:
    with scene() as (net, attackers, victim, third):
        arrived = count_packets(victim.pid, "ip6", "udp dport 4000")

        def send_from(evil: Machine, foreign: str) -> int:
            datagram = b"\x0f\xa0\x0f\xa0\x00\x0e\x00\x00forged"
            frames = []
            for address in (own6(evil), local(evil), foreign):
                packet = forger.ipv6(address, own6(victim), socket.IPPROTO_UDP, datagram)
                frames.append(ethernet(mac(evil), mac(victim), IPV6, packet))
            send(evil.pid, *frames)
            return arrived()

        sources = {whose: claimed(net, third, whose)[0] for whose in ADDRESSES[:3]} | {"::": "::"}
        try_with_and_without_filter(
            [
                Attempt(f"{name}, {right}", partial(send_from, evil, source), 2, 3)
                for right, evil in attackers.items()
                for name, source in sources.items()
            ]
        )


def test_without_the_right_to_configure_its_network_a_container_has_no_further_address() -> None:
    with scene() as (_net, attackers, victim, _third):
        evil = attackers["default"]

        def introduce(source: str, arrived: Callable[[], int]) -> tuple[int, str]:
            send(evil.pid, *plain(mac(evil), source, source))
            send(evil.pid, *plain(mac(evil), own6(evil), source))
            return arrived(), neighbour(victim.pid, source)

        attempts = []
        for source in ("fe80::666", "2001:db8:1::666", "2001:db8:f::1"):
            rule = f"ip6 saddr {source} icmpv6 type nd-neighbor-advert"
            arrived = count_packets(victim.pid, "ip6", rule)
            attempts.append(Attempt(source, partial(introduce, source, arrived), (0, ""), (1, "")))
        try_with_and_without_filter(attempts)


def test_nobody_can_prevent_another_from_using_its_address() -> None:
    """A question from no address says "I am going to use it, too" (RFC 4862, section 5.4.3)."""
    with scene() as (_net, attackers, victim, third):
        asks = "ip6 saddr :: icmpv6 type nd-neighbor-solicit @th,64,128"
        targets = ", ".join(number(own6(one)) for one in (third, *attackers.values()))
        arrived = count_packets(victim.pid, "ip6", f"{asks} {{ {targets} }}")

        def ask_for(evil: Machine) -> int:
            frames = []
            for address in (own6(evil), own6(third)):
                nonce = bytes([14, 1, 1, 2, 3, 4, 5, 6])  # RFC 7527
                message = forger.solicitation("::", ALL_NODES, address, nonce)
                packet = forger.ipv6("::", ALL_NODES, ICMPV6, message)
                frames.append(ethernet(mac(evil), ALL_NODES_MAC, IPV6, packet))
            send(evil.pid, *frames)
            return arrived()

        try_with_and_without_filter(
            [Attempt(right, partial(ask_for, evil), 1, 2) for right, evil in attackers.items()]
        )


def number(address: str) -> str:
    """Return an IPv6 address as nft(8) writes it in a raw expression."""
    return "0x" + socket.inet_pton(socket.AF_INET6, address).hex()


def test_what_a_trusted_container_adds_to_its_interface_is_not_anothers() -> None:
    """As if it could: a container without NET_ADMIN cannot even add the address."""
    with scene() as (net, attackers, victim, third):

        def add(evil: Machine, known: tuple[str, str]) -> str:
            address, genuine = known
            assert resolve(victim.pid, address) == genuine
            own = (f"{address}/128", "dev", "eth0")
            in_netns(evil.pid, "ip", "address", "add", *own, "nodad")
            send(evil.pid, *plain(mac(evil), address, address))
            believed = neighbour(victim.pid, address)
            in_netns(evil.pid, "ip", "address", "del", *own)
            return believed

        try_with_and_without_filter(
            [
                Attempt(f"{whose}, {right}", partial(add, evil, known), known[1], mac(evil))
                for right, evil in attackers.items()
                for whose in ADDRESSES
                for known in [claimed(net, third, whose)]
            ]
        )


def test_who_may_configure_its_network_has_further_addresses() -> None:
    """Among them those that it makes of a router's prefix (RFC 4862, RFC 8981)."""
    failures = []
    with scene() as (_net, attackers, victim, _third):
        for right, evil in attackers.items():
            for further in ("2001:db8:1::99", "2001:db8:f::1", "fe80::99"):
                own = (f"{further}/64", "dev", "eth0")
                in_netns(evil.pid, "ip", "address", "add", *own, "nodad")
                if not further.startswith("fe80"):
                    in_netns(victim.pid, "ip", "route", "replace", f"{further}/128", "dev", "eth0")
                in_netns(victim.pid, "ip", "neigh", "del", further, "dev", "eth0", code=None)
                words = ("ping", "-c1", "-W1", "-I", "eth0", further)
                code = in_netns(victim.pid, *words, code=None).returncode
                if code != (0 if right == "NET_ADMIN" else 1):
                    failures.append(f"{further}, {right}: ping ended with {code}")
                in_netns(evil.pid, "ip", "address", "del", *own)
    assert not failures, "\n".join(failures)


def test_no_other_answers_as_a_dhcp_server_whatever_hides_it() -> None:
    with scene() as (_net, attackers, victim, _third):

        def answer(evil: Machine, port: int, arrived: Callable[[], int]) -> int:
            datagram = struct.pack("!HHHH", port, 546, 14, 0) + b"forged"
            options = bytes([17, 0, 1, 4] + 4 * [0])
            frames = []
            for kind, payload in (
                (socket.IPPROTO_UDP, datagram),
                (DESTINATION_OPTIONS, forger.options(socket.IPPROTO_UDP, datagram)),
                (FRAGMENT, forger.fragment(socket.IPPROTO_UDP, datagram[:8], more=True)),
                (FRAGMENT, forger.fragment(DESTINATION_OPTIONS, options, more=True)),
            ):
                packet = forger.ipv6(local(evil), own6(victim), kind, payload)
                frames.append(ethernet(mac(evil), mac(victim), IPV6, packet))
            send(evil.pid, *frames)
            # Linux itself drops the last one before the counter.
            return min(arrived(), 2)

        attempts = []
        for right, evil in attackers.items():
            rule = f"ip6 saddr {local(evil)} ip6 nexthdr {{ udp, 44, 60 }}"
            arrived = count_packets(victim.pid, "ip6", rule)
            for port in (547, 1547):
                run = partial(answer, evil, port, arrived)
                attempts.append(Attempt(f"port {port}, {right}", run, 0, 2))
        try_with_and_without_filter(attempts)


def test_no_router_introduces_itself_whatever_hides_it() -> None:
    with scene() as (_net, attackers, victim, _third):
        in_netns(victim.pid, "sysctl", "-qw", "net.ipv6.conf.eth0.accept_ra=2")
        show = ("ip", "-6", "route", "show", "default", "proto", "ra")

        def introduce(evil: Machine, hidden: bool) -> bool:
            in_netns(victim.pid, "ip", "-6", "route", "flush", *show[4:])
            assert in_netns(victim.pid, *show).stdout == ""
            body = struct.pack("!BBHII", 64, 0, 1800, 0, 0)
            message, kind = forger.icmpv6(local(evil), ALL_NODES, 134, body), ICMPV6
            if hidden:
                message, kind = forger.options(kind, message), DESTINATION_OPTIONS
            packet = forger.ipv6(local(evil), ALL_NODES, kind, message)
            send(evil.pid, ethernet(mac(evil), ALL_NODES_MAC, IPV6, packet))
            return f"via {local(evil)} " in in_netns(victim.pid, *show).stdout

        try_with_and_without_filter(
            [
                Attempt(f"{name}, {right}", partial(introduce, evil, hidden), False, True)
                for right, evil in attackers.items()
                for name, hidden in (("plain", False), ("behind options", True))
            ]
        )


def query(own: str, evil: Machine) -> bytes:
    """Ask for the multicast groups that the others want (RFC 2710, section 3; RFC 3810)."""
    message = forger.icmpv6(local(evil), ALL_NODES, 130, bytes([3, 232, 0, 0]) + bytes(16))
    options = bytes([ICMPV6, 0, 5, 2, 0, 0, 1, 0])  # "router alert"
    packet = forger.ipv6(local(evil), ALL_NODES, HOP_BY_HOP, options + message, hops=1)
    return ethernet(own, ALL_NODES_MAC, IPV6, packet)


def query4(own: str, evil: Machine) -> bytes:
    return ethernet(own, "01:00:5e:00:00:01", IPV4, forger.igmp(evil.address, 0x11))


def router4(own: str, evil: Machine) -> bytes:
    """Introduce a multicast router (RFC 4286, section 4)."""
    message = forger.igmp(evil.address, 0x30, to="224.0.0.106")
    return ethernet(own, "01:00:5e:00:00:6a", IPV4, message)


def test_no_container_makes_itself_the_router_of_all_multicast() -> None:
    """A bridge sends all multicast to such a port, also what the others did not ask for."""
    with scene() as (net, attackers, _victim, _third):
        ports = [host_end(evil.lease.address.ip) for evil in attackers.values()]

        def routers() -> list[str]:
            listed = json.loads(shell("bridge", "-d", "-json", "mdb", "show").stdout)
            return [one["port"] for here in listed for one in here["router"].get(net.bridge, [])]

        def introduce(evil: Machine, message: Callable[[str, Machine], bytes]) -> list[str]:
            for port in ports:
                for state in (0, 1):  # Never a router; a router from its next message on.
                    kind = ("type", "bridge_slave", "mcast_router", state)
                    shell("ip", "link", "set", port, *kind)
            assert routers() == []
            send(evil.pid, message(mac(evil), evil))
            return routers()

        # The bridge heeds the queries of the lowest address that it has seen.
        descending = reversed(attackers.items())
        try_with_and_without_filter(
            [
                Attempt(
                    f"{message.__name__}, {right}",
                    partial(introduce, evil, message),
                    filtered=[],
                    unfiltered=[host_end(evil.lease.address.ip)],
                )
                for right, evil in descending
                for message in (query, query4, router4)
            ]
        )


def test_what_containers_normally_do_goes_on() -> None:
    """Pings of all sizes, by both kinds of addresses, of containers, gateway and host."""
    net = dual()
    with (
        machine(net) as one,
        machine(net, name="odd", mac=FOREIGN, wanted6="2001:db8:1::77") as odd,
        machine(net, name="trusted", trusted=True) as trusted,
    ):
        odd_local = str(link_local(FOREIGN))
        gateway = str(link_local(mac_of(net.gateway4)))
        everybody = [own6(one), local(one), "2001:db8:1::77", odd_local, own6(trusted)]
        everybody += [local(trusted), "2001:db8:1::1", gateway]
        for here in (one, odd, trusted):
            for address in everybody:
                for size in (56, 4000):
                    in_netns(here.pid, "ping", "-c1", "-W2", "-s", size, "-I", "eth0", address)
        for address in everybody[:6]:
            shell("ping", "-c1", "-W2", "-I", net.bridge, address)
        # Duplicate address detection finds nobody, and the address can be used.
        in_netns(one.pid, "sysctl", "-qw", "net.ipv6.conf.eth0.accept_dad=1")
        for words in (("link", "set", "eth0", "down"), ("link", "set", "eth0", "up")):
            in_netns(one.pid, "ip", *words)
        shown = ("ip", "-6", "address", "show", "dev", "eth0")
        wait_until(lambda: "fe80" in (now := in_netns(one.pid, *shown).stdout)
                   and "tentative" not in now, "the end of DAD")  # fmt: skip
        assert "dadfailed" not in in_netns(one.pid, *shown).stdout
        in_netns(one.pid, "ping", "-c1", "-W2", "-I", "eth0", local(trusted))


def test_a_network_that_is_connected_later_has_its_port_checked_too(
    minirt: Minirt, image: str
) -> None:
    for name in ("first", "second"):
        minirt("network", "create", "--ipv6", name)
    minirt("run", "-d", "--name", "one", "--net", "first", image, "sleep", "600")
    minirt("run", "-d", "--name", "two", "--net", "second", image, "sleep", "600")
    minirt("network", "connect", "second", "one")
    form = '{{(index .NetworkSettings.Networks "second").GlobalIPv6Address}}'
    two, own = (minirt("inspect", "-f", form, name).stdout.strip() for name in ("two", "one"))
    evil = pid_of(minirt, "one")
    in_netns(evil, "ping", "-c1", "-W2", two)
    eth1 = json.loads(in_netns(evil, "ip", "-json", "link", "show", "eth1").stdout)[0]["address"]
    gateway = f"{two.rpartition('::')[0]}::1"
    victim = pid_of(minirt, "two")
    in_netns(victim, "ping", "-c1", "-W2", gateway)
    genuine = neighbour(victim, gateway)

    def claim_gateway() -> str:
        send(evil, *plain(eth1, own, gateway), interface="eth1")
        return neighbour(victim, gateway)

    try_with_and_without_filter([Attempt("gateway", claim_gateway, genuine, eth1)])
