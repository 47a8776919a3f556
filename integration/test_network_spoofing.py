"""One bridge is one Ethernet: what a machine on it cannot pretend to be."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from integration import forger
from integration.attempts import (
    FOREIGN,
    Attempt,
    count_frames,
    count_packets,
    disable_filter,
    host_neighbour,
    mac,
    neighbour,
    resolve,
    send,
    try_with_and_without_filter,
)
from integration.conftest import Minirt
from integration.containers import pid_of
from integration.forger import ARP, BROADCAST, IPV4, IPV6, PROVIDER_VLAN, VLAN, ethernet
from integration.sandbox import another_network, in_netns, shell, started, wait_until
from integration.wires import Machine, machine, network
from minirt.kernel import namespaces
from minirt.network import bridge, endpoint, finding, leases, spec, spoofing
from minirt.network.identity import host_end, mac_of
from minirt.network.spec import Network


def claim(evil: Machine, victim: Machine, known: tuple[str, str], *, tagged: bool = False) -> str:
    """Claim an address that the victim knows; return the MAC under which it then knows it."""
    address, genuine = known
    assert resolve(victim.pid, address) == genuine
    message = forger.arp(mac(evil), address)
    if tagged:
        frame = ethernet(mac(evil), BROADCAST, VLAN, forger.tagged(ARP, message))
    else:
        frame = ethernet(mac(evil), BROADCAST, ARP, message)
    send(evil.pid, frame)
    return neighbour(victim.pid, address)


def test_a_forged_arp_message_changes_nobodys_mind() -> None:
    net = network()
    with machine(net) as evil, machine(net) as victim, machine(net) as third:
        claimed = {
            "gateway": (str(net.gateway4), mac_of(net.gateway4)),
            "neighbour": (third.address, mac(third)),
        }
        try_with_and_without_filter(
            [
                Attempt(
                    f"{whose}, {name}",
                    partial(claim, evil, victim, known, tagged=tagged),
                    filtered=known[1],
                    unfiltered=mac(evil),
                )
                for whose, known in claimed.items()
                for name, tagged in (("plain", False), ("tagged as no VLAN", True))
            ]
        )


def test_an_arp_message_about_another_mac_than_its_senders_is_dropped() -> None:
    net = network()
    with machine(net) as evil, machine(net) as victim:

        def introduce_another() -> str:
            assert resolve(victim.pid, evil.address) == mac(evil)
            send(evil.pid, ethernet(mac(evil), BROADCAST, ARP, forger.arp(FOREIGN, evil.address)))
            return neighbour(victim.pid, evil.address)

        try_with_and_without_filter([Attempt("ARP", introduce_another, mac(evil), FOREIGN)])


def test_a_frame_with_anothers_mac_does_not_divert_the_others_traffic() -> None:
    net = network()
    with machine(net) as evil, machine(net) as victim:
        frame = ethernet(mac(victim), BROADCAST, 0x88B5, bytes(46))  # RFC 5342: for trials
        divert = partial(is_learnt, net, evil, frame, victim)
        try_with_and_without_filter([Attempt("frame", divert, False, True)])


def test_frames_with_many_macs_do_not_fill_the_bridges_table() -> None:
    """The kernel keeps an entry for each MAC, and sets no limit (bridge(8), fdb_max_learned)."""
    net = network()
    with machine(net) as evil:
        macs = [f"02:00:00:00:{n >> 8:02x}:{n & 255:02x}" for n in range(500)]

        def fill() -> int:
            send(evil.pid, *(ethernet(one, BROADCAST, 0x88B5, bytes(46)) for one in macs))
            shown = shell("bridge", "fdb", "show", "br", net.bridge).stdout
            return len({line.split()[0] for line in shown.splitlines()} & {*macs})

        try_with_and_without_filter([Attempt("500 frames", fill, 0, len(macs))])


@pytest.mark.parametrize("adopted", [False, True], ids=["own bridge", "bridge of the host"])
def test_a_frame_to_a_switch_with_anothers_mac_does_not_either(adopted: bool) -> None:
    """By default such a frame does not pass the filter, and the bridge learns from it."""
    net = host_bridge() if adopted else network()
    with machine(net) as evil, machine(net) as victim:

        def as_by_default() -> None:
            shell("ip", "link", "set", net.bridge, "type", "bridge", "no_linklocal_learn", "0")
            forward_link_local_groups(evil, 0)

        attempts = []
        for name, last in (("LACP", 0x02), ("LLDP", 0x0E)):
            frame = ethernet(mac(victim), f"01:80:c2:00:00:{last:02x}", 0x88B5, bytes(46))
            attempts.append(
                Attempt(name, partial(is_learnt, net, evil, frame, victim), False, True)
            )
        try_with_and_without_filter(attempts, disable=as_by_default)


def is_learnt(net: Network, sender: Machine, frame: bytes, victim: Machine) -> bool:
    """Send a frame, and say whether the bridge looks for the victim at its sender from then on.

    The end of an earlier connection may correct the bridge at once, so it is sent a few times.
    """
    port = host_end(sender.lease.address.ip)

    def shown() -> str:
        return shell("bridge", "fdb", "show", "br", net.bridge, "brport", port).stdout

    assert victim.ask(sender.address, 80) == victim.address
    assert mac(victim) not in shown()
    for _ in range(5):
        send(sender.pid, frame)
        if mac(victim) in shown():
            return True
    return False


def host_bridge(*options: object) -> Network:
    """Make a network of a bridge that the host had before, with a further address of its own."""
    shell("ip", "link", "add", "name", "lan", "up", "type", "bridge", *options)
    shell("ip", "address", "add", "172.30.0.99/16", "dev", "lan")
    shell("ip", "address", "add", "fe80::99/64", "dev", "lan", "nodad")
    subnets = ("172.30.0.0/16", "2001:db8:3::/64")
    return network(subnets=subnets, options={spec.BRIDGE_NAME: "lan"})


def test_a_bridge_without_a_spanning_tree_does_not_spread_its_messages() -> None:
    """It would forward them, to the switches of a LAN as well."""
    net = network()
    with machine(net) as evil, machine(net) as victim:
        arrived = count_frames(evil, at=victim)

        def announce(frame: bytes) -> int:
            send(evil.pid, frame)
            return arrived()

        frame = forger.bpdu(mac(evil))
        frames = {
            "spanning tree": frame,
            "Cisco's spanning tree": bytes.fromhex("01000ccccccd") + frame[6:],
        }
        try_with_and_without_filter(
            [Attempt(name, partial(announce, frame), 0, 1) for name, frame in frames.items()]
        )


def port_state(of: Machine) -> str:
    """Return what the spanning tree says about a port; without one it is "forwarding"."""
    port = host_end(of.lease.address.ip)
    return str(link_info(port)["info_slave_data"]["state"])


def link_info(name: str) -> dict[str, dict[str, Any]]:
    """Return what ip(8) knows of a link that only links of its kind have."""
    (link,) = json.loads(shell("ip", "-json", "-d", "link", "show", name).stdout)
    found: dict[str, dict[str, Any]] = link["linkinfo"]
    return found


def link_mac(shown: str) -> str:
    """Return the MAC in what "ip link show" prints of one link."""
    return shown.split("link/ether ")[1].split(maxsplit=1)[0]


def forward_link_local_groups(of: Machine, mask: int) -> None:
    """Say which frames to 01:80:c2:00:00:0X a port forwards; 0: the kernel's default."""
    port = host_end(of.lease.address.ip)
    shell("ip", "link", "set", port, "type", "bridge_slave", "group_fwd_mask", mask)


def test_no_container_becomes_the_root_bridge() -> None:
    net = host_bridge("stp_state", 1, "forward_delay", 200)
    with machine(net) as evil, machine(net) as victim:
        wait_until(lambda: port_state(evil) != "disabled", "the port")
        arrived = count_frames(evil, at=victim)

        def announce() -> tuple[bool, int]:
            send(evil.pid, forger.bpdu(mac(evil)))
            # The port that leads to the root; 0: none, so the bridge is the root itself.
            return bool(link_info("lan")["info_data"]["root_port"]), arrived()

        # In no case does the bridge spread the message.
        attempt = Attempt("spanning tree", announce, (False, 0), (True, 0))
        try_with_and_without_filter([attempt], disable=partial(forward_link_local_groups, evil, 0))


GROUPS = [f"01:80:c2:00:00:{last:02x}" for last in range(16)]
PAUSE = 1  # of IEEE 802.3x: a bridge drops it always


@pytest.mark.parametrize("tree", [False, True], ids=["own bridge", "bridge of the host"])
def test_the_host_believes_no_router_whatever_group_the_frame_is_for(tree: bool) -> None:
    """By default the host takes such frames from the port itself, which listens to routers."""
    net = host_bridge("stp_state", 1, "forward_delay", 200) if tree else network()
    with machine(net) as evil:
        shell("sysctl", "-qw", "net.ipv6.conf.all.forwarding=0")  # as where no network has IPv6
        wait_until(lambda: port_state(evil) == "forwarding", "forwarding by the port")

        def introduce_routers() -> list[str]:
            frames = []
            for number, group in enumerate(GROUPS):
                packet = forger.router_advertisement(f"fe80::66:{number:x}")
                frames.append(ethernet(mac(evil), group, IPV6, packet))
            send(evil.pid, *frames)
            routes = shell("ip", "-6", "route", "show", "default").stdout
            return sorted(re.findall(r"via (\S+)", routes))

        # What is for a spanning tree is forwarded by a bridge that has none.
        taken = [n for n in range(16) if n != PAUSE and (tree or n != 0)]
        routers = sorted(f"fe80::66:{number:x}" for number in taken)
        try_with_and_without_filter(
            [Attempt("16 groups", introduce_routers, [], routers)],
            disable=partial(forward_link_local_groups, evil, 0),
        )


def test_the_host_hears_no_foreign_source_whatever_group_the_frame_is_for() -> None:
    net = network()
    with machine(net) as evil:
        chain = "add chain ip t c { type filter hook input priority 0; }"
        shell("nft", f"add table ip t; {chain}; add rule ip t c udp dport 4000 counter")

        def send_to_groups() -> int:
            packet = forger.udp("198.51.100.7", str(net.gateway4), (4000, 4000))
            send(evil.pid, *(ethernet(mac(evil), group, IPV4, packet) for group in GROUPS))
            listed = shell("nft", "list", "table", "ip", "t").stdout
            (packets,) = re.findall(r"packets (\d+)", listed)
            return int(packets)

        try_with_and_without_filter(
            [Attempt("16 groups", send_to_groups, 0, 14)],
            disable=partial(forward_link_local_groups, evil, 0),
        )
        shell("nft", "delete", "table", "ip", "t")


def test_the_next_command_sets_the_ports_of_an_older_minirt() -> None:
    net = network()
    with machine(net) as evil:
        forward_link_local_groups(evil, 0)
        shell("nft", "flush", "set", "inet", "minirt", "version")
        bridge.ensure(net)
        send(
            evil.pid, ethernet(mac(evil), GROUPS[14], IPV6, forger.router_advertisement("fe80::6"))
        )
        assert shell("ip", "-6", "route", "show", "default").stdout == ""


def test_a_trusted_port_takes_no_address_of_the_host() -> None:
    """Of a bridge that the host had before, it may have more than that of the gateway."""
    net = host_bridge()
    with machine(net, trusted=True) as evil, machine(net) as victim:
        known = "172.30.0.99", link_mac(shell("ip", "link", "show", "lan").stdout)
        attempt = partial(claim, evil, victim, known)
        try_with_and_without_filter([Attempt("ARP", attempt, known[1], mac(evil))])


def test_a_trusted_port_takes_no_address_of_another_machine_that_is_known() -> None:
    addresses = {"the LAN's router": "172.30.0.254", "kept for another machine": "172.30.0.9"}
    shell("ip", "link", "add", "name", "lan", "up", "type", "bridge")
    shell("ip", "address", "add", "172.30.0.1/16", "dev", "lan")
    shell("ip", "route", "add", "default", "via", "172.30.0.254")
    options = {spec.BRIDGE_NAME: "lan"}
    net = network(subnets=("172.30.0.0/16",), aux=("printer=172.30.0.9",), options=options)
    with machine(net, trusted=True) as evil, another_network() as other:
        peer = ("peer", "name", "eth0", "netns", other)
        shell("ip", "link", "add", "card", "up", "master", "lan", "type", "veth", *peer)
        for address in addresses.values():
            in_netns(other, "ip", "address", "add", f"{address}/16", "dev", "eth0")
        in_netns(other, "ip", "link", "set", "eth0", "up")
        genuine = link_mac(in_netns(other, "ip", "link", "show", "eth0").stdout)

        def claim_to_the_host(address: str) -> str:
            shell("ip", "neigh", "del", address, "dev", "lan", code=None)
            shell("ping", "-c1", "-W2", address)
            assert host_neighbour(address, "lan") == genuine
            send(evil.pid, ethernet(mac(evil), BROADCAST, ARP, forger.arp(mac(evil), address)))
            return host_neighbour(address, "lan")

        try_with_and_without_filter(
            [
                Attempt(whose, partial(claim_to_the_host, address), genuine, mac(evil))
                for whose, address in addresses.items()
            ]
        )


def test_a_packet_with_a_foreign_source_does_not_arrive() -> None:
    net = network()
    with machine(net) as evil, machine(net) as victim, machine(net) as third:
        sources = {"neighbour": third.address, "elsewhere": "198.51.100.7", "nowhere": "0.0.0.0"}
        arrived = count_packets(victim.pid, "ip", "udp dport 4000")

        def send_from(foreign: str) -> tuple[int, int]:
            found = []
            for source in (evil.address, foreign):
                packet = forger.udp(source, victim.address, (4000, 4000))
                send(evil.pid, ethernet(mac(evil), mac(victim), IPV4, packet))
                found.append(arrived())
            genuine, forged = found
            return genuine, forged

        try_with_and_without_filter(
            [
                Attempt(name, partial(send_from, source), (1, 0), (1, 1))
                for name, source in sources.items()
            ]
        )


def test_no_frame_with_a_tag_passes() -> None:
    """Not even with a packet from the container's own address: it may be for another VLAN."""
    net = network()
    with (
        machine(net) as evil,
        machine(net, trusted=True) as trusted,
        machine(net) as victim,
    ):
        attempts = []
        for right, sender in (("default", evil), ("NET_ADMIN", trusted)):
            rule = f"ether saddr {mac(sender)} ether type != arp"  # but the answer to a query
            arrived = count_packets(victim.pid, "netdev", rule)

            def send_tagged(
                kind: int, vlan: int, sender: Machine = sender, arrived: Callable[[], int] = arrived
            ) -> bool:
                packet = forger.tagged(
                    IPV4, forger.udp(sender.address, victim.address, (4000, 4000)), vlan
                )
                send(sender.pid, ethernet(mac(sender), mac(victim), kind, packet))
                # Linux looks into a tag of no VLAN before it counts.
                return arrived() >= 1

            attempts += [
                Attempt(
                    f"{kind:#x}, VLAN {vlan}, {right}",
                    partial(send_tagged, kind, vlan),
                    False,
                    True,
                )
                for kind in (VLAN, PROVIDER_VLAN, 0x9100)
                for vlan in (0, 10)
            ]
        try_with_and_without_filter(attempts)


def test_nobody_but_minirt_gives_addresses() -> None:
    """Of a DHCP server's answer its clients look only at the port that it is sent to."""
    net = network()
    with machine(net) as evil, machine(net) as victim:
        arrived = count_packets(victim.pid, "ip", "udp dport 68")

        def answer(port: int) -> int:
            packet = forger.udp(evil.address, victim.address, (port, 68))
            send(evil.pid, ethernet(mac(evil), mac(victim), IPV4, packet))
            return arrived()

        try_with_and_without_filter(
            [Attempt(f"from port {port}", partial(answer, port), 0, 1) for port in (67, 1067)]
        )


def test_no_router_introduces_itself() -> None:
    net = network()
    with machine(net) as evil, machine(net) as victim:
        for name, value in {"disable_ipv6": 0, "accept_ra": 2, "accept_dad": 0}.items():
            in_netns(victim.pid, "sysctl", "-qw", f"net.ipv6.conf.eth0.{name}={value}")

        def introduce() -> bool:
            packet = forger.router_advertisement("fe80::666")
            send(evil.pid, ethernet(mac(evil), "33:33:00:00:00:01", IPV6, packet))
            routes = in_netns(victim.pid, "ip", "-6", "route", "show", "default").stdout
            return "fe80::666" in routes

        try_with_and_without_filter([Attempt("advertisement", introduce, False, True)])


def test_the_host_believes_no_router_among_its_containers() -> None:
    net = network(ipv6=True)
    with machine(net) as evil:
        disable_filter()  # a second wall: accept_ra of the bridge
        packet = forger.router_advertisement("fe80::666")
        frame = ethernet(mac(evil), "33:33:00:00:00:01", IPV6, packet)
        send(evil.pid, frame)
        assert "fe80::666" not in shell("ip", "-6", "route", "show", "default").stdout
        shell("sysctl", "-qw", f"net.ipv6.conf.{net.bridge}.accept_ra=2")  # The control.
        send(evil.pid, frame)
        assert "fe80::666" in shell("ip", "-6", "route", "show", "default").stdout


def test_a_trusted_port_has_further_addresses_but_nobody_elses() -> None:
    net = network()
    lease = leases.take(net)
    with (
        machine(net) as victim,
        started("unshare", "--net", "sh", "-c", "echo; exec sleep 60") as one,
    ):
        assert one.stdout and one.stdout.readline()
        with namespaces.network_of(one.pid) as netns:
            endpoint.plug(net, lease, netns, interface="eth0", trusted=True)
        for further in ("172.18.9.9", "198.51.100.7"):
            in_netns(one.pid, "ip", "addr", "add", f"{further}/16", "dev", "eth0")
            in_netns(victim.pid, "ip", "route", "replace", further, "dev", "eth0")
            in_netns(one.pid, "ping", "-c1", "-W2", "-I", further, victim.address)
        arrived = count_packets(victim.pid, "ip", "udp dport 4000")
        for foreign in (str(net.gateway4), victim.address):
            packet = forger.udp(foreign, victim.address, (4000, 4000))
            send(one.pid, ethernet(mac_of(lease.address.ip), mac(victim), IPV4, packet))
        assert arrived() == 0
    leases.release(lease)


def elements() -> str:
    """Return all that the bridge's filter knows of ports."""
    return "".join(
        shell("nft", "list", "set" if name != "ports" else "map", "bridge", "minirt", name).stdout
        for name in ("ports", "macs", "addresses", "taken")
    )


def test_the_next_port_at_an_address_replaces_what_was_known_of_the_last() -> None:
    net = network()
    with machine(net) as one:
        address, port = one.lease.address, host_end(one.lease.address.ip)
        spoofing.bind(net, port, FOREIGN, [address])
        assert FOREIGN in elements()
        assert mac_of(address.ip) not in elements()
        spoofing.bind(net, port, mac_of(address.ip), [address])
        assert FOREIGN not in elements()
        assert one.ask(str(net.gateway4), 1) == "Connection refused"


def test_what_is_known_of_ports_goes_when_they_are_unplugged_or_with_their_network(
    minirt: Minirt,
) -> None:
    net, other = network(), network("net2")
    with machine(net) as gone, machine(net), machine(other) as stays:
        endpoint.unplug(gone.lease.address)
        assert host_end(gone.lease.address.ip) not in elements()
        assert elements().count("172.18.0.3") == 3  # comment, address, taken
        stay = host_end(stays.lease.address.ip)
    minirt("network", "rm", "net1")
    assert "172.18" not in elements()
    assert stay in elements()
    minirt("network", "rm", "net2")
    assert stay not in elements()


def test_after_a_flush_of_all_filters_who_lives_is_bound_again() -> None:
    net = network()
    with machine(net) as evil, machine(net) as victim:
        in_netns(victim.pid, "ping", "-c1", "-W2", evil.address)
        shell("nft", "flush", "ruleset")
        bridge.ensure(finding.find(net.name))
        frame = ethernet(mac(evil), BROADCAST, ARP, forger.arp(FOREIGN, evil.address))
        send(evil.pid, frame)
        assert neighbour(victim.pid, evil.address) == mac(evil)


FURTHER = "172.18.9.9"
RIGHTS = [((), False), (("--cap-add", "NET_ADMIN"), True), (("--privileged",), True)]


def test_only_a_container_that_may_configure_its_network_has_further_addresses(
    minirt: Minirt, image: str
) -> None:
    minirt("network", "create", "mynet")
    minirt("run", "-d", "--name", "victim", "--net", "mynet", image, "sleep", "600")
    failures = []
    for number, (right, is_let) in enumerate(RIGHTS, 1):
        name, further = f"one{number}", f"172.18.9.{number}"
        minirt("run", "-d", "--name", name, "--net", "mynet", *right, image, "sleep", "600")
        # as if it could
        in_netns(pid_of(minirt, name), "ip", "addr", "add", f"{further}/16", "dev", "eth0")
        ping = minirt("exec", "victim", "ping", "-c1", "-W1", further, code=None)
        if (ping.returncode == 0) is not is_let:
            failures.append(f"{' '.join(right) or 'default'}: ping ended with {ping.returncode}")
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize(("right", "is_let"), RIGHTS)
def test_its_own_interface_is_a_containers_only_if_it_may_configure_its_network(
    minirt: Minirt, image: str, right: tuple[str, ...], is_let: bool
) -> None:
    for words in (("link", "set", "eth0", "down"), ("addr", "add", FURTHER, "dev", "eth0")):
        done = minirt("run", "--rm", *right, image, "ip", *words, code=None)
        assert (done.returncode == 0) is is_let
