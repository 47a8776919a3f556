"""Our own messages to nftables make what nft(8) makes of the words that are shown for them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network
from pathlib import Path

import prctl
import pytest

from integration.listings import in_order, ruleset
from integration.sandbox import another_network, in_netns, shell
from integration.traces import Ground
from minirt.kernel import namespaces, nft_messages, nft_rules, nftables, processes, steps
from minirt.kernel.namespaces import Namespace
from minirt.kernel.nft_elements import Element, add, create, delete, has, mark_key, name_key
from minirt.network import choice, filters, nat, resolver_link, spoofing
from minirt.network.block import Interface
from minirt.network.identity import mac_of
from minirt.network.port_binding import Binding
from minirt.network.spec import Network
from minirt.state import made, run_dir

LONGEST = "a" * 15  # IFNAMSIZ, without the zero at its end
FOREIGN = "02:66:6f:72:67:65"
TABLE = "inet tried"
ELEMENT = Element(TABLE, "names", (name_key("one"),))
PLAIN = Network("ab" * 32, "net1", "2026-07-01T12:00:00Z", subnet4=IPv4Network("172.18.0.0/16"))
SUBNET6 = IPv6Network("fd00:1::/64")
DUAL = replace(PLAIN, subnet6=SUBNET6, gateway6=SUBNET6[1])


@pytest.fixture(autouse=True)
def tidy_up() -> Iterator[None]:
    yield
    steps.send_to(None)
    shell("nft", "flush", "ruleset")


def told(title: str, all_steps: list[steps.Step]) -> str:
    """Return the words for nft(8) of the only step with a title."""
    (command,) = (one.command for one in all_steps if one.title == title)
    return shlex.split(command)[-1]


@pytest.mark.parametrize("way", ["rewrite", "dnat"])
def test_rules_that_lead_to_resolver_are_those_of_nft(way: str, ground: Ground) -> None:
    title = "lead port 53 of 127.0.0.11 to the resolver"
    unshare = ("unshare", "--user", "--map-root-user", "--net") if way == "dnat" else ()
    made(run_dir()).joinpath("kernel.json").write_text('{"payload_writes": false}\n')
    all_steps: list[steps.Step] = []
    with another_network(*unshare) as ours, another_network() as typed:
        steps.send_to(all_steps.append)
        for _ in ("first", "again, as for the next sockets: their rules replace the others"):
            with namespaces.network_of(ours) as netns:
                for fd in resolver_link.sockets(netns):
                    os.close(fd)
            command = next(one.command for one in reversed(all_steps) if one.title == title)
            assert command.startswith(f"nsenter --net=/proc/{ours}/ns/net nft ")
            in_netns(typed, "nft", shlex.split(command)[-1])
            assert ruleset(ours) == ruleset(typed)
            listed = ruleset(ours)[0]
            for protocol in ("udp", "tcp"):
                assert (f"notrack {protocol} sport set 53" in listed) == (way == "rewrite")
                assert (f"{protocol} dport 53 dnat to 127.0.0.11:" in listed) == (way == "dnat")


def test_checked_changes_are_permitted_and_not_made() -> None:
    changes = [nft_rules.add_table(TABLE), nft_rules.add_chain(TABLE, "c", "output", 0)]
    with another_network() as pid, namespaces.network_of(pid) as netns:
        assert nft_messages.would_run(changes, netns)
        assert in_netns(pid, "nft", "list", "ruleset").stdout == ""
        nft_messages.run(changes, "try", netns)
        assert "chain c" in in_netns(pid, "nft", "list", "ruleset").stdout


def test_checked_changes_are_not_permitted_without_net_admin() -> None:
    changes = [nft_rules.add_table(TABLE)]
    with another_network() as pid, namespaces.network_of(pid) as netns:
        prctl.cap_effective.net_admin = False
        try:
            assert not nft_messages.would_run(changes, netns)
        finally:
            prctl.cap_effective.net_admin = True
        assert nft_messages.would_run(changes, netns)


@pytest.mark.parametrize("port", ["vethac120002", LONGEST])
@pytest.mark.parametrize("trusted", [False, True], ids=["strict", "trusted"])
@pytest.mark.parametrize("usual", [False, True], ids=["goto", "jump"])
@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
def test_the_elements_of_a_port_are_those_of_nft(
    port: str, trusted: bool, usual: bool, ipv6: bool
) -> None:
    network = DUAL if ipv6 else PLAIN
    addresses: list[Interface] = [IPv4Interface("172.18.0.2/16")]
    if ipv6:
        twin = choice.twin(network.block(4), network.block(6), addresses[0].ip)
        addresses.append(IPv6Interface(f"{twin}/64"))
    mac = mac_of(addresses[0].ip) if usual else FOREIGN
    all_steps: list[steps.Step] = []
    nftables.load(spoofing.RULES)
    steps.send_to(all_steps.append)
    spoofing.bind(network, port, mac, addresses, trusted=trusted)
    with another_network() as typed:
        in_netns(typed, "nft", "-f", spoofing.RULES)
        in_netns(typed, "nft", told("tie the port to its addresses", all_steps))
        assert in_order(ruleset("self")) == in_order(ruleset(typed))
    assert (
        f": {'jump' if usual else 'goto'} {'trusted' if trusted else 'strict'}"
        in all_steps[-1].command
    )


@pytest.mark.parametrize("protocol", ["tcp", "udp", "sctp"])
@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1", "::", "2001:db8::1"])
def test_the_elements_of_published_ports_are_those_of_nft(protocol: str, host: str) -> None:
    both = [Binding(protocol, 80, host, 8080), Binding(protocol, 53, host, 65535)]
    to = IPv4Interface("172.18.0.2/16"), IPv6Interface("fd00:1::2/64")
    all_steps: list[steps.Step] = []
    nftables.load(filters.RULES)
    steps.send_to(all_steps.append)
    nat.publish(both, *to)
    with another_network() as typed:
        in_netns(typed, "nft", "-f", filters.RULES)
        in_netns(typed, "nft", told("publish the ports", all_steps))
        assert in_order(ruleset("self")) == in_order(ruleset(typed))
        nat.unpublish(both[:1], *to)
        in_netns(typed, "nft", told("close the published ports", all_steps))
        assert in_order(ruleset("self")) == in_order(ruleset(typed))
        assert "65535" in ruleset(typed)[0] and "8080" not in ruleset(typed)[0]


def test_what_is_refused_changes_nothing_and_is_what_python_calls_it() -> None:
    with pytest.raises(FileNotFoundError, match=r"No such file.*nft add element inet tried names"):
        nft_messages.run([add(ELEMENT)], "try")
    nftables.run(f"add table {TABLE}; add set {TABLE} names {{ type ifname; }}")
    nftables.run(f"add map {TABLE} ways {{ type ifname : verdict; }}")
    nftables.run(f"add chain {TABLE} one; add chain {TABLE} two")
    nft_messages.run([create(ELEMENT)], "try")
    before = shell("nft", "list", "ruleset").stdout
    another = add(Element(TABLE, "names", (name_key("two"),)))
    missing = add(Element(TABLE, "nosuch", (name_key("two"),)))
    with pytest.raises(FileExistsError, match="File exists: nft create element inet tried"):
        nft_messages.run([another, create(ELEMENT), missing], "try")
    with pytest.raises(FileNotFoundError, match="nosuch"):
        nft_messages.run([missing, create(ELEMENT), another], "try")
    with pytest.raises(FileNotFoundError, match="nosuch"):
        nft_messages.run([another, add(ELEMENT), missing], "try")
    with pytest.raises(OSError, match="Invalid argument"):
        nft_messages.run([another, add(Element(TABLE, "names", (mark_key(1),)))], "try")
    assert shell("nft", "list", "ruleset").stdout == before
    nft_messages.run([another, add(ELEMENT)], "try")  # "add" is content with what is there,
    way = Element(TABLE, "ways", (name_key("one"),), "jump one")
    nft_messages.run([add(way), add(way)], "try")
    with pytest.raises(FileExistsError):  # unless it leads elsewhere
        nft_messages.run([add(Element(TABLE, "ways", (name_key("one"),), "jump two"))], "try")


def test_a_change_that_the_kernel_refuses_as_a_whole_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nftables.run(f"add table {TABLE}; add set {TABLE} names {{ type ifname; }}")

    def child() -> int:
        namespaces.unshare(Namespace.USER)  # No right is left over the namespace outside.
        with pytest.raises(PermissionError, match="Operation not permitted: nft all changes"):
            nft_messages.run([add(ELEMENT)], "try")
        with pytest.raises(PermissionError, match="can't be asked"):
            nft_rules.has_chain(TABLE, "one")
        return 0

    assert processes.wait(processes.fork(child)) == 0
    assert "one" not in shell("nft", "list", "ruleset").stdout
    monkeypatch.setattr(nft_messages, "_NFTABLES", 13)  # There is no such subsystem.
    with pytest.raises(OSError, match=r"Invalid argument|not supported"):
        nft_messages.run([add(ELEMENT)], "try")


def test_a_failed_step_is_told_as_one() -> None:
    all_steps: list[steps.Step] = []
    steps.send_to(all_steps.append)
    with pytest.raises(FileNotFoundError):
        nft_messages.run([add(ELEMENT)], "try")
    assert [(one.title, one.failed) for one in all_steps] == [("try", True)]


@pytest.mark.parametrize("family", ["ip", "ip6", "inet", "bridge"])
def test_a_table_or_a_chain_is_there_or_not(family: str) -> None:
    table = f"{family} filter"
    assert not nft_rules.has_chain(table, "FORWARD")
    assert not nft_rules.has_table(table)
    nftables.run(f"add table {table}")
    assert nft_rules.has_table(table)
    assert not nft_rules.has_table(f"{family} filte")
    assert not nft_rules.has_chain(table, "FORWARD")
    base = "{ type filter hook forward priority 0; }"
    nftables.run(f"add chain {table} FORWARD {base}; add chain {table} OTHER")
    assert nft_rules.has_chain(table, "FORWARD")
    assert nft_rules.has_chain(table, "OTHER")
    assert not nft_rules.has_chain(table, "FORWAR")
    assert not nft_rules.has_chain(f"{'ip6' if family == 'ip' else 'ip'} filter", "FORWARD")


def open_files() -> list[Path]:
    return sorted(Path("/proc/self/fd").iterdir())


def test_no_program_inherits_the_line_and_only_one_stays() -> None:
    nftables.run(f"add table {TABLE}; add set {TABLE} names {{ type ifname; }}")
    nft_messages.close()
    before = open_files()
    nft_messages.run([add(ELEMENT)], "try")
    with pytest.raises(FileExistsError):
        nft_messages.run([create(ELEMENT)], "try")
    assert nft_rules.has_table(TABLE)
    assert len(open_files()) == len(before) + 1
    assert not nft_messages._own_line().get_inheritable()
    nft_messages.close()
    assert open_files() == before


def test_what_was_said_to_a_refused_change_is_not_taken_for_the_next_answer() -> None:
    nftables.run(f"add table {TABLE}; add set {TABLE} names {{ type ifname; }}")
    missing = [add(Element(TABLE, "nosuch", (name_key(str(one)),))) for one in range(20)]
    for _ in range(3):
        with pytest.raises(FileNotFoundError, match="0 }"):
            nft_messages.run(missing, "try")
        assert nft_rules.has_table(TABLE)
        assert not has(ELEMENT)


def test_a_child_does_not_read_its_parents_answers() -> None:
    nftables.run(f"add table {TABLE}; add set {TABLE} names {{ type ifname; }}")
    nft_messages.run([add(ELEMENT)], "try")
    line = nft_messages._own_line()
    number = line.fileno()

    def child() -> int:
        os.dup2(os.open("/dev/null", os.O_RDONLY), number)  # It has closed all, and goes on.
        nft_messages.run([delete(ELEMENT)], "try")
        is_kept = os.readlink(f"/proc/self/fd/{number}") == "/dev/null"  # noqa: PTH115
        return int(nft_messages._own_line() is line or not is_kept)

    assert processes.wait(processes.fork(child)) == 0
    assert not has(ELEMENT) and nft_messages._own_line() is line


def test_it_speaks_to_the_namespace_that_it_was_told() -> None:
    with another_network() as other, namespaces.network_of(other) as netns:
        in_netns(other, "nft", f"add table {TABLE}; add set {TABLE} names {{ type ifname; }}")
        nft_messages.run([add(ELEMENT)], "try", netns)
        assert '"one"' in in_netns(other, "nft", "list", "ruleset").stdout
        assert shell("nft", "list", "ruleset").stdout == ""
