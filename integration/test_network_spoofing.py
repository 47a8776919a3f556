"""One bridge is one Ethernet: what a machine on it cannot pretend to be.

Each attack is tried twice: as it is, and with the bridge's filter flushed, where it must work.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from integration import forger
from integration.conftest import Minirt
from integration.containers import pid_of
from integration.forger import ARP, BROADCAST, IPV4, IPV6, PROVIDER_VLAN, VLAN, ethernet
from integration.sandbox import another_network, in_netns, shell, started, wait_until
from integration.wires import Machine, machine, network
from minirt.kernel import namespaces
from minirt.network import bridge, endpoint, finding, leases, spec, spoofing
from minirt.network.identity import host_end, mac_of
from minirt.network.spec import Network

FORGER = (sys.executable, "-I", Path(forger.__file__))
FOREIGN = "02:66:6f:72:67:65"

either_filter = pytest.mark.parametrize("filtered", [True, False], ids=["filtered", "control"])


def send(pid: int, *frames: bytes, interface: str = "eth0") -> None:
    """Send frames from a machine."""
    in_netns(pid, *FORGER, interface, *(frame.hex() for frame in frames))


def switch(filtered: bool) -> None:
    if not filtered:
        shell("nft", "flush", "chain", "bridge", "minirt", "prerouting")


def mac(of: Machine) -> str:
    return mac_of(of.lease.address.ip)


def neighbour(of: int, address: str) -> str:
    """Return the MAC under which a machine knows an address."""
    words = in_netns(of, "ip", "neigh", "show", address, "dev", "eth0").stdout.split()
    return words[words.index("lladdr") + 1] if "lladdr" in words else ""


def counted(of: int, port: int) -> list[str]:
    """Count what arrives at a UDP port of a machine, whoever it says that it is from."""
    table = "add table ip t; add chain ip t c { type filter hook prerouting priority -400; }"
    in_netns(of, "nft", f"{table}; add rule ip t c udp dport {port} counter")
    return ["nft", "list", "table", "ip", "t"]


def frames_from(sender: Machine, *, at: Machine) -> Callable[[], int]:
    """Count all frames of a machine that arrive at another one, whatever they carry."""
    rule = "add table netdev t; add chain netdev t c "
    rule += "{ type filter hook ingress device eth0 priority 0; }; add rule netdev t c "
    in_netns(at.pid, "nft", f"{rule} ether saddr {mac(sender)} counter")

    def count() -> int:
        listed = in_netns(at.pid, "nft", "list", "table", "netdev", "t").stdout
        found = re.search(r"packets (\d+)", listed)
        assert found
        return int(found[1])

    return count


@either_filter
@pytest.mark.parametrize("tagged", [False, True], ids=["plain", "tagged as no VLAN"])
@pytest.mark.parametrize("whose", ["gateway", "neighbour"])
def test_a_forged_arp_message_changes_nobodys_mind(
    filtered: bool, tagged: bool, whose: str
) -> None:
    net = network()
    with machine(net) as evil, machine(net) as victim, machine(net) as third:
        switch(filtered)
        address = str(net.gateway4) if whose == "gateway" else third.address
        in_netns(victim.pid, "ping", "-c1", "-W2", address)
        before = neighbour(victim.pid, address)
        message = forger.arp(mac(evil), address)
        if tagged:
            frame = ethernet(mac(evil), BROADCAST, VLAN, forger.tagged(ARP, message))
        else:
            frame = ethernet(mac(evil), BROADCAST, ARP, message)
        send(evil.pid, frame)
        assert before in (mac_of(net.gateway4), mac(third))
        assert neighbour(victim.pid, address) == (before if filtered else mac(evil))


@either_filter
def test_an_arp_message_about_another_mac_than_its_senders_is_dropped(filtered: bool) -> None:
    net = network()
    with machine(net) as evil, machine(net) as victim:
        switch(filtered)
        in_netns(victim.pid, "ping", "-c1", "-W2", evil.address)
        send(evil.pid, ethernet(mac(evil), BROADCAST, ARP, forger.arp(FOREIGN, evil.address)))
        assert neighbour(victim.pid, evil.address) == (mac(evil) if filtered else FOREIGN)


@either_filter
def test_a_frame_with_anothers_mac_does_not_divert_the_others_traffic(filtered: bool) -> None:
    net = network()
    with machine(net) as evil, machine(net) as victim:
        switch(filtered)
        assert victim.ask(str(evil.address), 80) == victim.address
        frame = ethernet(mac(victim), BROADCAST, 0x88B5, bytes(46))  # RFC 5342: for trials
        assert is_learnt(net, evil, frame, mac(victim)) == (not filtered)


@either_filter
def test_frames_with_many_macs_do_not_fill_the_bridges_table(filtered: bool) -> None:
    """The kernel keeps an entry for each MAC, and sets no limit (bridge(8), fdb_max_learned)."""
    net = network()
    with machine(net) as evil:
        switch(filtered)
        macs = [f"02:00:00:00:{n >> 8:02x}:{n & 255:02x}" for n in range(500)]
        send(evil.pid, *(ethernet(one, BROADCAST, 0x88B5, bytes(46)) for one in macs))
        shown = shell("bridge", "fdb", "show", "br", net.bridge).stdout
        learnt = {line.split()[0] for line in shown.splitlines()}
        assert len(learnt & {*macs}) == (0 if filtered else len(macs))


@pytest.mark.parametrize("defended", [True, False], ids=["defended", "control"])
@pytest.mark.parametrize("adopted", [False, True], ids=["own bridge", "bridge of the host"])
@pytest.mark.parametrize("last", [0x02, 0x0E], ids=["LACP", "LLDP"])
def test_a_frame_to_a_switch_with_anothers_mac_does_not_either(
    defended: bool, adopted: bool, last: int
) -> None:
    """By default such a frame does not pass the filter, and the bridge learns from it."""
    net = host_bridge() if adopted else network()
    with machine(net) as evil, machine(net) as victim:
        if not defended:
            shell("ip", "link", "set", net.bridge, "type", "bridge", "no_linklocal_learn", "0")
            forward_link_local_groups(evil, 0)
        assert victim.ask(str(evil.address), 80) == victim.address
        frame = ethernet(mac(victim), f"01:80:c2:00:00:{last:02x}", 0x88B5, bytes(46))
        assert is_learnt(net, evil, frame, mac(victim)) == (not defended)


def is_learnt(net: Network, sender: Machine, frame: bytes, address: str) -> bool:
    """Send a frame, and say whether the bridge looks for ``address`` at its sender from then on.

    The end of an earlier connection may correct the bridge at once, so it is sent a few times.
    """
    port = host_end(sender.lease.address.ip)
    for _ in range(5):
        send(sender.pid, frame)
        if address in shell("bridge", "fdb", "show", "br", net.bridge, "brport", port).stdout:
            return True
    return False


def host_bridge(*options: object) -> Network:
    """Make a network of a bridge that the host had before, with a further address of its own."""
    shell("ip", "link", "add", "name", "lan", "up", "type", "bridge", *options)
    shell("ip", "address", "add", "172.30.0.99/16", "dev", "lan")
    shell("ip", "address", "add", "fe80::99/64", "dev", "lan", "nodad")
    subnets = ("172.30.0.0/16", "2001:db8:3::/64")
    return network(subnets=subnets, options={spec.BRIDGE_NAME: "lan"})


@either_filter
@pytest.mark.parametrize("kind", ["spanning tree", "Cisco's spanning tree"])
def test_a_bridge_without_a_spanning_tree_does_not_spread_its_messages(
    filtered: bool, kind: str
) -> None:
    """It would forward them, to the switches of a LAN as well."""
    net = network()
    with machine(net) as evil, machine(net) as victim:
        switch(filtered)
        frame = forger.bpdu(mac(evil))
        if kind != "spanning tree":
            frame = bytes.fromhex("01000ccccccd") + frame[6:]
        arrived = frames_from(evil, at=victim)
        send(evil.pid, frame)
        assert arrived() == (0 if filtered else 1)


def port_state(of: Machine) -> str:
    """Return what the spanning tree says about a port; without one it is "forwarding"."""
    port = host_end(of.lease.address.ip)
    return str(link_info(port)["info_slave_data"]["state"])


def link_info(name: str) -> dict[str, dict[str, Any]]:
    """Return what ip(8) knows of a link that only links of its kind have."""
    (link,) = json.loads(shell("ip", "-json", "-d", "link", "show", name).stdout)
    found: dict[str, dict[str, Any]] = link["linkinfo"]
    return found


def forward_link_local_groups(of: Machine, mask: int) -> None:
    """Say which frames to 01:80:c2:00:00:0X a port forwards; 0: the kernel's default."""
    port = host_end(of.lease.address.ip)
    shell("ip", "link", "set", port, "type", "bridge_slave", "group_fwd_mask", mask)


@pytest.mark.parametrize("defended", [True, False], ids=["defended", "control"])
def test_no_container_becomes_the_root_bridge(defended: bool) -> None:
    net = host_bridge("stp_state", 1, "forward_delay", 200)
    with machine(net) as evil, machine(net) as victim:
        if not defended:
            forward_link_local_groups(evil, 0)
        wait_until(lambda: port_state(evil) != "disabled", "the port")
        arrived = frames_from(evil, at=victim)
        send(evil.pid, forger.bpdu(mac(evil)))
        # The port that leads to the root; 0: none, so the bridge is the root itself.
        assert (link_info("lan")["info_data"]["root_port"] == 0) is defended
        assert arrived() == 0  # nor does the bridge spread the message


GROUPS = [f"01:80:c2:00:00:{last:02x}" for last in range(16)]
PAUSE = 1  # of IEEE 802.3x: a bridge drops it always

either_mask = pytest.mark.parametrize("defended", [True, False], ids=["defended", "control"])


@either_mask
@pytest.mark.parametrize("tree", [False, True], ids=["own bridge", "bridge of the host"])
def test_the_host_believes_no_router_whatever_group_the_frame_is_for(
    defended: bool, tree: bool
) -> None:
    """By default the host takes such frames from the port itself, which listens to routers."""
    net = host_bridge("stp_state", 1, "forward_delay", 200) if tree else network()
    with machine(net) as evil:
        shell("sysctl", "-qw", "net.ipv6.conf.all.forwarding=0")  # as where no network has IPv6
        if not defended:
            forward_link_local_groups(evil, 0)
        wait_until(lambda: port_state(evil) == "forwarding", "forwarding by the port")
        for number, group in enumerate(GROUPS):
            packet = forger.router_advertisement(f"fe80::66:{number:x}")
            send(evil.pid, ethernet(mac(evil), group, IPV6, packet))
        routes = shell("ip", "-6", "route", "show", "default").stdout
        # What is for a spanning tree is forwarded by a bridge that has none.
        taken = [n for n in range(16) if n != PAUSE and (tree or n != 0)]
        expected = [] if defended else [f"fe80::66:{number:x}" for number in taken]
        assert sorted(re.findall(r"via (\S+)", routes)) == sorted(expected)


@either_mask
def test_the_host_hears_no_foreign_source_whatever_group_the_frame_is_for(defended: bool) -> None:
    net = network()
    with machine(net) as evil:
        if not defended:
            forward_link_local_groups(evil, 0)
        chain = "add chain ip t c { type filter hook input priority 0; }"
        shell("nft", f"add table ip t; {chain}; add rule ip t c udp dport 4000 counter")
        for group in GROUPS:
            packet = forger.udp("198.51.100.7", str(net.gateway4), (4000, 4000))
            send(evil.pid, ethernet(mac(evil), group, IPV4, packet))
        packets = 0 if defended else 14
        assert f"packets {packets} " in shell("nft", "list", "table", "ip", "t").stdout
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


@either_filter
def test_a_trusted_port_takes_no_address_of_the_host(filtered: bool) -> None:
    """Of a bridge that the host had before, it may have more than that of the gateway."""
    net = host_bridge()
    with machine(net, trusted=True) as evil, machine(net) as victim:
        switch(filtered)
        in_netns(victim.pid, "ping", "-c1", "-W2", "172.30.0.99")
        before = neighbour(victim.pid, "172.30.0.99")
        message = forger.arp(mac(evil), "172.30.0.99")
        send(evil.pid, ethernet(mac(evil), BROADCAST, ARP, message))
        assert neighbour(victim.pid, "172.30.0.99") == (before if filtered else mac(evil))


@either_filter
@pytest.mark.parametrize("whose", ["the LAN's router", "kept for another machine"])
def test_a_trusted_port_takes_no_address_of_another_machine_that_is_known(
    filtered: bool, whose: str
) -> None:
    address = {"the LAN's router": "172.30.0.254", "kept for another machine": "172.30.0.9"}[whose]
    shell("ip", "link", "add", "name", "lan", "up", "type", "bridge")
    shell("ip", "address", "add", "172.30.0.1/16", "dev", "lan")
    shell("ip", "route", "add", "default", "via", "172.30.0.254")
    options = {spec.BRIDGE_NAME: "lan"}
    net = network(subnets=("172.30.0.0/16",), aux=("printer=172.30.0.9",), options=options)
    with machine(net, trusted=True) as evil, another_network() as other:
        peer = ("peer", "name", "eth0", "netns", other)
        shell("ip", "link", "add", "card", "up", "master", "lan", "type", "veth", *peer)
        in_netns(other, "ip", "address", "add", f"{address}/16", "dev", "eth0")
        in_netns(other, "ip", "link", "set", "eth0", "up")
        switch(filtered)
        shell("ping", "-c1", "-W2", address)
        send(evil.pid, ethernet(mac(evil), BROADCAST, ARP, forger.arp(mac(evil), address)))
        known = shell("ip", "neigh", "show", "to", address, "dev", "lan").stdout
        assert (mac(evil) in known) == (not filtered)


@either_filter
@pytest.mark.parametrize("source", ["neighbour", "elsewhere", "nowhere"])
def test_a_packet_with_a_foreign_source_does_not_arrive(filtered: bool, source: str) -> None:
    net = network()
    with machine(net) as evil, machine(net) as victim, machine(net) as third:
        switch(filtered)
        foreign = {"neighbour": third.address, "elsewhere": "198.51.100.7", "nowhere": "0.0.0.0"}
        look = counted(victim.pid, 4000)
        genuine = forger.udp(evil.address, victim.address, (4000, 4000))
        send(evil.pid, ethernet(mac(evil), mac(victim), IPV4, genuine))
        assert "packets 1 " in in_netns(victim.pid, *look).stdout
        packet = forger.udp(foreign[source], victim.address, (4000, 4000))
        send(evil.pid, ethernet(mac(evil), mac(victim), IPV4, packet))
        packets = 1 if filtered else 2
        assert f"packets {packets} " in in_netns(victim.pid, *look).stdout


@either_filter
@pytest.mark.parametrize("trusted", [False, True], ids=["default", "NET_ADMIN"])
@pytest.mark.parametrize("vlan", [0, 10])
@pytest.mark.parametrize("kind", [VLAN, PROVIDER_VLAN, 0x9100])
def test_no_frame_with_a_tag_passes(filtered: bool, trusted: bool, vlan: int, kind: int) -> None:
    """Not even with a packet from the container's own address: it may be for another VLAN."""
    net = network()
    with machine(net, trusted=trusted) as evil, machine(net) as victim:
        switch(filtered)
        arrived = frames_from(evil, at=victim)
        packet = forger.udp(evil.address, victim.address, (4000, 4000))
        send(evil.pid, ethernet(mac(evil), mac(victim), kind, forger.tagged(IPV4, packet, vlan)))
        # Linux looks into a tag of no VLAN before it counts.
        assert (arrived() == 0) if filtered else (arrived() >= 1)


@either_filter
@pytest.mark.parametrize("port", [67, 1067], ids=["usual port", "another port"])
def test_nobody_but_minirt_gives_addresses(filtered: bool, port: int) -> None:
    """Of a DHCP server's answer its clients look only at the port that it is sent to."""
    net = network()
    with machine(net) as evil, machine(net) as victim:
        switch(filtered)
        look = counted(victim.pid, 68)
        packet = forger.udp(evil.address, victim.address, (port, 68))
        send(evil.pid, ethernet(mac(evil), mac(victim), IPV4, packet))
        packets = 0 if filtered else 1
        assert f"packets {packets} " in in_netns(victim.pid, *look).stdout


@either_filter
def test_no_router_introduces_itself(filtered: bool) -> None:
    net = network()
    with machine(net) as evil, machine(net) as victim:
        switch(filtered)
        for name, value in {"disable_ipv6": 0, "accept_ra": 2, "accept_dad": 0}.items():
            in_netns(victim.pid, "sysctl", "-qw", f"net.ipv6.conf.eth0.{name}={value}")
        packet = forger.router_advertisement("fe80::666")
        send(evil.pid, ethernet(mac(evil), "33:33:00:00:00:01", IPV6, packet))
        routes = in_netns(victim.pid, "ip", "-6", "route", "show", "default").stdout
        assert ("fe80::666" in routes) == (not filtered)


def test_the_host_believes_no_router_among_its_containers() -> None:
    net = network(ipv6=True)
    with machine(net) as evil:
        switch(filtered=False)  # a second wall: accept_ra of the bridge
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
        look = counted(victim.pid, 4000)
        for foreign in (str(net.gateway4), victim.address):
            packet = forger.udp(foreign, victim.address, (4000, 4000))
            send(one.pid, ethernet(mac_of(lease.address.ip), mac(victim), IPV4, packet))
        assert "packets 0 " in in_netns(victim.pid, *look).stdout
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


@pytest.mark.parametrize(
    ("right", "is_let"),
    [((), False), (("--cap-add", "NET_ADMIN"), True), (("--privileged",), True)],
)
def test_only_a_container_that_may_configure_its_network_has_further_addresses(
    minirt: Minirt, image: str, right: tuple[str, ...], is_let: bool
) -> None:
    minirt("network", "create", "mynet")
    minirt("run", "-d", "--name", "one", "--net", "mynet", *right, image, "sleep", "600")
    minirt("run", "-d", "--name", "two", "--net", "mynet", image, "sleep", "600")
    pid = pid_of(minirt, "one")
    in_netns(int(pid), "ip", "addr", "add", f"{FURTHER}/16", "dev", "eth0")  # as if it could
    reached = minirt("exec", "two", "ping", "-c1", "-W1", FURTHER, code=None).returncode == 0
    assert reached is is_let


@pytest.mark.parametrize(
    ("right", "is_let"),
    [((), False), (("--cap-add", "NET_ADMIN"), True), (("--privileged",), True)],
)
def test_its_own_interface_is_a_containers_only_if_it_may_configure_its_network(
    minirt: Minirt, image: str, right: tuple[str, ...], is_let: bool
) -> None:
    for words in (("link", "set", "eth0", "down"), ("addr", "add", FURTHER, "dev", "eth0")):
        done = minirt("run", "--rm", *right, image, "ip", *words, code=None)
        assert (done.returncode == 0) is is_let
