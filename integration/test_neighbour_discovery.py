"""IPv6 on one Ethernet: a container cannot claim an address of another one, a gateway or the host.

Each attack runs twice: as it is, and with the bridge's filter flushed, where it must succeed.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import struct
from collections.abc import Callable, Iterator

import pytest

from integration import forger
from integration.conftest import Minirt
from integration.containers import pid_of
from integration.forger import IPV4, IPV6, PROVIDER_VLAN, VLAN, ethernet
from integration.sandbox import in_netns, shell, wait_until
from integration.test_network_spoofing import (
    FOREIGN,
    either_filter,
    mac,
    neighbour,
    send,
    switch,
)
from integration.wires import Machine, machine, network
from minirt.network.identity import host_end, link_local, mac_of
from minirt.network.spec import Network

ICMPV6 = socket.IPPROTO_ICMPV6
HOP_BY_HOP, DESTINATION_OPTIONS, FRAGMENT = 0, 60, 44  # RFC 8200, section 4.1
ALL_NODES, ALL_NODES_MAC = "ff02::1", "33:33:00:00:00:01"

whichever_address = pytest.mark.parametrize(
    "whose", ["neighbour", "neighbour's link-local", "gateway", "gateway's link-local"]
)
either_right = pytest.mark.parametrize("trusted", [False, True], ids=["default", "NET_ADMIN"])


def dual() -> Network:
    """Make a network of both families."""
    return network(subnets=("10.9.0.0/24", "2001:db8:1::/64"))


def own6(of: Machine) -> str:
    """Return the IPv6 address that minirt assigned to a machine."""
    return f"2001:db8:1::{of.address.rpartition('.')[2]}"


def local(of: Machine) -> str:
    """Return the link-local address of a machine."""
    return str(link_local(mac(of)))


@contextlib.contextmanager
def scene(*, trusted: bool = False) -> Iterator[tuple[Network, Machine, Machine, Machine]]:
    """Yield a network with an attacker, a victim, and a third machine.

    The victim accepts fragmented messages, which Linux ignores by default.
    """
    net = dual()
    with (
        machine(net, trusted=trusted) as evil,
        machine(net) as victim,
        machine(net) as third,
    ):
        in_netns(victim.pid, "sysctl", "-qw", "net.ipv6.conf.eth0.suppress_frag_ndisc=0")
        yield net, evil, victim, third


def claimed(net: Network, third: Machine, whose: str) -> tuple[str, str]:
    """Return the address that is claimed, and the MAC that it really has."""
    gateway = mac_of(net.gateway4)
    return {
        "neighbour": (own6(third), mac(third)),
        "neighbour's link-local": (local(third), mac(third)),
        "gateway": ("2001:db8:1::1", gateway),
        "gateway's link-local": (str(link_local(gateway)), gateway),
    }[whose]


def knows(victim: Machine, address: str) -> str:
    """Let a machine ask for an address, unless it knows it; return the MAC that it knows."""
    in_netns(victim.pid, "ping", "-c1", "-W2", "-I", "eth0", address)
    return neighbour(victim.pid, address)


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


def in_fragments(*headers: int, cuts: tuple[int, ...]) -> Frames:
    """Cut the message, behind headers of options, at these offsets in bytes."""

    def frames(own: str, source: str, target: str) -> list[bytes]:
        payload, kind = forger.advertisement(source, ALL_NODES, target, own), ICMPV6
        for header in headers:
            payload, kind = forger.options(kind, payload), header
        found = []
        for start, end in zip((0, *cuts), (*cuts, len(payload)), strict=True):
            part = forger.fragment(kind, payload[start:end], start, more=end < len(payload))
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
    """Ask for all machines in the name of the target: each of them learns the MAC of who asks."""
    frames = []
    for number in range(1, 5):
        asked = f"2001:db8:1::{number}"
        group, group_mac = f"ff02::1:ff00:{number}", f"33:33:ff:00:00:{number:02x}"
        message = forger.solicitation(target, group, asked, forger.link_option(1, own))
        packet = forger.ipv6(target, group, ICMPV6, message)
        frames.append(ethernet(own, group_mac, IPV6, packet))
    return frames


@either_filter
@either_right
@whichever_address
def test_nobody_believes_a_forged_neighbour_advertisement(
    filtered: bool, trusted: bool, whose: str
) -> None:
    with scene(trusted=trusted) as (net, evil, victim, third):
        switch(filtered)
        address, genuine = claimed(net, third, whose)
        assert knows(victim, address) == genuine
        send(evil.pid, *plain(mac(evil), local(evil), address))
        assert neighbour(victim.pid, address) == (genuine if filtered else mac(evil))


@either_filter
@either_right
@pytest.mark.parametrize(
    "disguise",
    [
        from_the_address_itself,
        as_a_question,
        behind(DESTINATION_OPTIONS),
        behind(HOP_BY_HOP),
        in_fragments(cuts=()),
        in_fragments(cuts=(8,)),
        in_fragments(cuts=(24,)),
        in_fragments(DESTINATION_OPTIONS, cuts=(16,)),
        in_fragments(DESTINATION_OPTIONS, DESTINATION_OPTIONS, cuts=(32,)),
        with_tag(VLAN),
        with_tag(PROVIDER_VLAN),
    ],
    ids=[
        "from the address itself",
        "as a question",
        "behind destination options",
        "behind hop-by-hop options",
        "in one fragment",
        "in two fragments",
        "cut before its option",
        "in fragments behind options",
        "in fragments behind many options",
        "priority tag",
        "tag of a provider",
    ],
)
def test_no_disguise_helps_it(filtered: bool, trusted: bool, disguise: Frames) -> None:
    with scene(trusted=trusted) as (_net, evil, victim, third):
        switch(filtered)
        assert knows(victim, own6(third)) == mac(third)
        send(evil.pid, *disguise(mac(evil), local(evil), own6(third)))
        assert neighbour(victim.pid, own6(third)) == (mac(third) if filtered else mac(evil))


@either_right
@pytest.mark.parametrize(
    "disguise",
    [in_fragments(DESTINATION_OPTIONS, cuts=(8,)), in_fragments(DESTINATION_OPTIONS, cuts=(0, 8))],
    ids=["the first fragment is all options", "the first fragment is empty"],
)
def test_a_first_fragment_without_the_message_does_not_pass(
    trusted: bool, disguise: Frames
) -> None:
    """Linux reassembles none (RFC 7112), other systems may: so it must not even arrive."""
    with scene(trusted=trusted) as (_net, evil, _victim, third):
        table = (
            "add table bridge t; add chain bridge t c { type filter hook prerouting priority 0; }"
        )
        shell("nft", f"{table}; add rule bridge t c ether type ip6 frag frag-off 0 counter")
        for filtered, packets in ((True, 0), (False, 1)):
            switch(filtered)
            first, *_ = disguise(mac(evil), local(evil), own6(third))
            send(evil.pid, first)
            assert f"packets {packets} " in shell("nft", "list", "table", "bridge", "t").stdout
        shell("nft", "delete", "table", "bridge", "t")


@either_filter
@either_right
def test_nor_does_the_host_believe_it(filtered: bool, trusted: bool) -> None:
    with scene(trusted=trusted) as (net, evil, _victim, third):
        switch(filtered)
        shell("ping", "-c1", "-W2", own6(third))
        send(evil.pid, *plain(mac(evil), local(evil), own6(third)))
        known = shell("ip", "neigh", "show", own6(third), "dev", net.bridge).stdout
        assert (mac(evil) in known) == (not filtered)


@either_filter
def test_an_advertisement_with_another_mac_than_its_senders_is_dropped(filtered: bool) -> None:
    with scene() as (_net, evil, victim, _third):
        switch(filtered)
        knows(victim, own6(evil))
        message = forger.advertisement(own6(evil), ALL_NODES, own6(evil), FOREIGN)
        packet = forger.ipv6(own6(evil), ALL_NODES, ICMPV6, message)
        send(evil.pid, ethernet(mac(evil), ALL_NODES_MAC, IPV6, packet))
        assert neighbour(victim.pid, own6(evil)) == (mac(evil) if filtered else FOREIGN)


def counted(of: Machine, what: str) -> Callable[[], int]:
    """Count packets that arrive at a machine; return a function that says how many have."""
    table = "add table ip6 t; add chain ip6 t c { type filter hook prerouting priority -400; }"
    in_netns(of.pid, "nft", f"{table}; add rule ip6 t c {what} counter")

    def read() -> int:
        listed = in_netns(of.pid, "nft", "list", "table", "ip6", "t").stdout
        return int(re.findall(r"packets (\d+)", listed)[0])

    return read


@either_filter
@either_right
@pytest.mark.parametrize("source", ["neighbour", "neighbour's link-local", "gateway", "::"])
def test_a_packet_from_the_address_of_another_does_not_arrive(
    filtered: bool, trusted: bool, source: str
) -> None:
    with scene(trusted=trusted) as (net, evil, victim, third):
        switch(filtered)
        foreign = source if source == "::" else claimed(net, third, source)[0]
        arrived = counted(victim, "udp dport 4000")
        for address in (own6(evil), local(evil), foreign):
            datagram = b"\x0f\xa0\x0f\xa0\x00\x0e\x00\x00forged"
            packet = forger.ipv6(address, own6(victim), socket.IPPROTO_UDP, datagram)
            send(evil.pid, ethernet(mac(evil), mac(victim), IPV6, packet))
        assert arrived() == (2 if filtered else 3)


@either_filter
@pytest.mark.parametrize("source", ["fe80::666", "2001:db8:1::666", "2001:db8:f::1"])
def test_without_the_right_to_configure_its_network_a_container_has_no_further_address(
    filtered: bool, source: str
) -> None:
    with scene() as (_net, evil, victim, _third):
        switch(filtered)
        arrived = counted(victim, f"ip6 saddr {source} icmpv6 type nd-neighbor-advert")
        send(evil.pid, *plain(mac(evil), source, source))
        send(evil.pid, *plain(mac(evil), own6(evil), source))
        assert arrived() == (0 if filtered else 1)
        assert neighbour(victim.pid, source) == ""


@either_filter
@either_right
def test_nobody_can_prevent_another_from_using_its_address(filtered: bool, trusted: bool) -> None:
    """A question from no address says "I am going to use it, too" (RFC 4862, section 5.4.3)."""
    with scene(trusted=trusted) as (_net, evil, victim, third):
        switch(filtered)
        asks = "ip6 saddr :: icmpv6 type nd-neighbor-solicit @th,64,128"
        arrived = counted(victim, f"{asks} {{ {number(own6(third))}, {number(own6(evil))} }}")
        for address in (own6(evil), own6(third)):
            nonce = bytes([14, 1, 1, 2, 3, 4, 5, 6])  # RFC 7527
            message = forger.solicitation("::", ALL_NODES, address, nonce)
            packet = forger.ipv6("::", ALL_NODES, ICMPV6, message)
            send(evil.pid, ethernet(mac(evil), ALL_NODES_MAC, IPV6, packet))
        assert arrived() == (1 if filtered else 2)


def number(address: str) -> str:
    """Return an IPv6 address as nft(8) writes it in a raw expression."""
    return "0x" + socket.inet_pton(socket.AF_INET6, address).hex()


@either_filter
@either_right
@whichever_address
def test_what_a_trusted_container_adds_to_its_interface_is_not_anothers(
    filtered: bool, trusted: bool, whose: str
) -> None:
    """As if it could: a container without NET_ADMIN cannot even add the address."""
    with scene(trusted=trusted) as (net, evil, victim, third):
        switch(filtered)
        address, genuine = claimed(net, third, whose)
        assert knows(victim, address) == genuine
        in_netns(evil.pid, "ip", "address", "add", f"{address}/128", "dev", "eth0", "nodad")
        send(evil.pid, *plain(mac(evil), address, address))
        assert neighbour(victim.pid, address) == (genuine if filtered else mac(evil))


@pytest.mark.parametrize("further", ["2001:db8:1::99", "2001:db8:f::1", "fe80::99"])
@either_right
def test_who_may_configure_its_network_has_further_addresses(trusted: bool, further: str) -> None:
    """Among them those that it makes of a router's prefix (RFC 4862, RFC 8981)."""
    with scene(trusted=trusted) as (_net, evil, victim, _third):
        in_netns(evil.pid, "ip", "address", "add", f"{further}/64", "dev", "eth0", "nodad")
        if not further.startswith("fe80"):
            in_netns(victim.pid, "ip", "route", "replace", f"{further}/128", "dev", "eth0")
        code = 0 if trusted else 1
        words = ("ping", "-c1", "-W1", "-I", "eth0", further)
        assert in_netns(victim.pid, *words, code=None).returncode == code


@either_filter
@either_right
@pytest.mark.parametrize("port", [547, 1547], ids=["usual port", "another port"])
def test_no_other_answers_as_a_dhcp_server_whatever_hides_it(
    filtered: bool, trusted: bool, port: int
) -> None:
    with scene(trusted=trusted) as (_net, evil, victim, _third):
        switch(filtered)
        arrived = counted(victim, f"ip6 saddr {local(evil)} ip6 nexthdr {{ udp, 44, 60 }}")
        datagram = struct.pack("!HHHH", port, 546, 14, 0) + b"forged"
        for kind, payload in (
            (socket.IPPROTO_UDP, datagram),
            (DESTINATION_OPTIONS, forger.options(socket.IPPROTO_UDP, datagram)),
            (FRAGMENT, forger.fragment(socket.IPPROTO_UDP, datagram[:8], more=True)),
            (
                FRAGMENT,
                forger.fragment(DESTINATION_OPTIONS, bytes([17, 0, 1, 4] + 4 * [0]), more=True),
            ),
        ):
            packet = forger.ipv6(local(evil), own6(victim), kind, payload)
            send(evil.pid, ethernet(mac(evil), mac(victim), IPV6, packet))
        # Linux itself drops the last one before anybody counts it.
        assert (arrived() == 0) if filtered else (arrived() >= 2)


@either_filter
@either_right
@pytest.mark.parametrize("hidden", [False, True], ids=["plain", "behind options"])
def test_no_router_introduces_itself_whatever_hides_it(
    filtered: bool, trusted: bool, hidden: bool
) -> None:
    with scene(trusted=trusted) as (_net, evil, victim, _third):
        switch(filtered)
        in_netns(victim.pid, "sysctl", "-qw", "net.ipv6.conf.eth0.accept_ra=2")
        body = struct.pack("!BBHII", 64, 0, 1800, 0, 0)
        message, kind = forger.icmpv6(local(evil), ALL_NODES, 134, body), ICMPV6
        if hidden:
            message, kind = forger.options(kind, message), DESTINATION_OPTIONS
        packet = forger.ipv6(local(evil), ALL_NODES, kind, message)
        send(evil.pid, ethernet(mac(evil), ALL_NODES_MAC, IPV6, packet))
        routes = in_netns(victim.pid, "ip", "-6", "route", "show", "default").stdout
        assert (local(evil) in routes) == (not filtered)


def query(own: str, evil: Machine) -> bytes:
    """Ask who wants which multicast groups (RFC 2710, section 3; RFC 3810)."""
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


@either_filter
@either_right
@pytest.mark.parametrize("message", [query, query4, router4])
def test_no_container_makes_itself_the_router_of_all_multicast(
    filtered: bool, trusted: bool, message: Callable[[str, Machine], bytes]
) -> None:
    """A bridge sends all multicast to such a port, also what the others did not ask for."""
    with scene(trusted=trusted) as (net, evil, _victim, _third):
        switch(filtered)
        port = host_end(evil.lease.address.ip)
        send(evil.pid, message(mac(evil), evil))
        listed = json.loads(shell("bridge", "-d", "-json", "mdb", "show").stdout)
        routers = [one["port"] for here in listed for one in here["router"].get(net.bridge, [])]
        assert routers == ([] if filtered else [port])


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
    for filtered in (True, False):
        switch(filtered)
        send(evil, *plain(eth1, own, gateway), interface="eth1")
        assert neighbour(victim, gateway) == (genuine if filtered else eth1)
