"""Who gets which address, when many ask and some die."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from integration.sandbox import shell, wait_until
from integration.wires import elements, machine, network
from minirt.errors import Conflict, MinirtError
from minirt.kernel import namespaces, processes
from minirt.network import (
    bridge,
    create,
    endpoint,
    filters,
    finding,
    identity,
    leases,
    nat,
    port_binding,
    port_syntax,
    ports,
    store,
)
from minirt.network.leases import Facts
from minirt.network.plan import Plan
from minirt.network.port_binding import Binding

SHELLS, EACH = 8, 25


def at_once(number: int, work: Callable[[int], object]) -> list[object]:
    """Do the work in many processes at once; return what each of them got."""
    gate, opener = os.pipe()
    answers, writer = os.pipe()

    def child(which: int) -> int:
        os.close(opener)
        os.read(gate, 1)
        try:
            result = work(which)
        except (MinirtError, OSError) as error:
            result = type(error).__name__
        os.write(writer, json.dumps(result).encode() + b"\n")
        signal.pause()  # Who leaves gives back what it holds.
        return 0

    pids = [processes.fork(lambda which=one: child(which)) for one in range(number)]  # type: ignore[misc]
    os.close(opener)
    os.close(gate)
    os.close(writer)
    with os.fdopen(answers) as lines:
        found = [json.loads(next(lines)) for _ in pids]
    for pid in pids:
        processes.kill(pid)
    return found


def test_two_hundred_takers_get_two_hundred_addresses_the_lowest_ones() -> None:
    net = network()

    def take(_: int) -> list[int]:
        return [int(leases.take(net).address.ip) for _ in range(EACH)]

    taken = [address for found in at_once(SHELLS, take) for address in found]  # type: ignore[attr-defined]
    lowest = int(net.gateway4) + 1
    assert sorted(taken) == list(range(lowest, lowest + SHELLS * EACH))
    assert not leases.in_use(net)


def test_takers_of_one_wanted_address_get_it_once() -> None:
    net = network(subnets=("10.9.0.0/24",))
    found = at_once(SHELLS, lambda _: str(leases.take(net, wanted="10.9.0.9").address.ip))
    assert sorted(map(str, found)) == ["10.9.0.9", *["Conflict"] * (SHELLS - 1)]


def test_of_networks_of_one_name_made_at_once_one_is_made() -> None:
    found = at_once(SHELLS, lambda _: create.create(Plan("same")).name)
    assert sorted(map(str, found)) == [*["Conflict"] * (SHELLS - 1), "same"]


def test_networks_made_at_once_get_different_subnets_or_one_gets_what_all_want() -> None:
    found = at_once(SHELLS, lambda n: str(create.create(Plan(f"net{n}")).subnet4))
    assert len(set(map(str, found))) == SHELLS
    fixed = ("10.9.0.0/24",)
    found = at_once(SHELLS, lambda n: create.create(Plan(f"fix{n}", subnets=fixed)).name)
    assert found.count("Conflict") == SHELLS - 1
    bridges = {one.bridge for one in store.every() if not one.is_default}
    links = json.loads(shell("ip", "-json", "link", "show", "type", "bridge").stdout)
    assert {one["ifname"] for one in links} == bridges


def test_many_change_the_packet_filter_at_once_and_none_is_interrupted() -> None:
    """Libnftables gives up when another's change comes between its look and its own."""
    net = network()

    def work(number: int) -> str:
        for turn in range(20):
            held = [Binding("tcp", 80, "0.0.0.0", 1000 + number)]
            address = IPv4Address(f"10.8.{number}.{turn + 1}")
            other = IPv4Network(f"10.{100 + number}.{turn}.0/24")
            mine = replace(net, bridge=f"br{number}x{turn}", subnet4=other)
            nat.publish(held, address)
            filters.admit(mine)
            bridge.ensure(net)
            filters.forget(mine)
            nat.unpublish(held, address)
        return "fine"

    assert at_once(SHELLS, work) == ["fine"] * SHELLS
    assert elements() == set()
    assert filters.knows(net)


def test_who_takes_the_address_of_the_dead_closes_its_ports() -> None:
    net = network()
    reader, writer = os.pipe()

    def victim() -> int:
        lease = leases.take(net)
        held = ports.reserve(port_syntax.parse(["8080:80", "127.0.0.1:9090:90/udp"]))
        nat.publish(held, lease.address)
        facts = [port_binding.to_json(one) for one in held]
        leases.write(lease, Facts("c" * 64, "victim", os.getpid(), 0, ports=facts))
        os.write(writer, b"!")
        signal.pause()
        return 0

    pid = processes.fork(victim)
    os.read(reader, 1)
    assert elements() == {"tcp . 8080", "127.0.0.1 . udp . 9090"}
    with pytest.raises(Conflict, match="8080 failed: port is already allocated by container vic"):
        ports.reserve(port_syntax.parse(["8080:80"]))
    processes.kill(pid)
    assert len(elements()) == 2

    heir = leases.take(net, last="172.18.0.2")
    assert str(heir.address.ip) == "172.18.0.2"
    assert elements() == set()
    leases.release(heir)
    os.close(reader)
    os.close(writer)


def test_a_sweep_frees_what_the_dead_had_and_nothing_else() -> None:
    net = network()
    alive = leases.take(net)
    leases.write(alive, Facts("a" * 64, "alive"))
    fresh = leases.take(net)  # by somebody who has not written yet
    dead = leases.take(net)
    held = ports.reserve(port_syntax.parse(["8080:80"]))
    nat.publish(held, dead.address)
    leases.write(dead, Facts("d" * 64, "dead", ports=[port_binding.to_json(one) for one in held]))
    leases.sweep()
    assert elements() == {"tcp . 8080"}
    os.close(dead.fd)
    ports.close(held)
    leases.sweep()
    assert elements() == set()
    assert {one.name for one in leases.directory(net).iterdir()} == {
        str(lease.address.ip) for lease in (alive, fresh)
    }
    for lease in (alive, fresh):
        leases.release(lease)


def test_a_wire_that_the_dead_has_left_is_replaced() -> None:
    """It gets another name, and is down: to delete it would mean to wait for the kernel."""
    net = network()
    with machine(net) as one:
        held = os.open(f"/proc/{one.pid}/ns/net", os.O_RDONLY)
        wire = identity.host_end(one.lease.address.ip)
    try:
        assert f"{wire}@" in shell("ip", "link", "show", wire).stdout  # the descriptor keeps it
        with machine(net) as two, machine(net) as three:
            assert two.address == one.address
            assert three.ask(two.address, 80) == three.address
            (left,) = [line for line in links() if line.split()[1].startswith("dead")]
            assert " master " in left
            assert " state DOWN " in left
    finally:
        os.close(held)
    wait_until(lambda: not [line for line in links() if ": dead" in line], "its end")


def links() -> list[str]:
    return shell("ip", "-oneline", "link").stdout.splitlines()


def test_unplugging_takes_the_wire_away() -> None:
    net = network()
    with machine(net) as one:
        endpoint.unplug(one.lease.address)
        endpoint.unplug(one.lease.address)
        with namespaces.network_of(one.pid) as netns, namespaces.inside(netns):
            assert "eth0" not in shell("ip", "link").stdout
            endpoint_gone = "default" not in shell("ip", "route").stdout
        assert endpoint_gone
        with namespaces.network_of(one.pid) as netns:
            endpoint.plug(net, one.lease, netns, interface="eth1")
        assert one.ask(str(net.gateway4), 1) == "Connection refused"


def test_the_address_waits_for_the_old_init_to_be_dead() -> None:
    """The monitor's lock falls first; who comes then finds init dying, and waits for its end."""
    net = network()
    dying = processes.fork(lambda: signal.pause() or 0)  # type: ignore[func-returns-value]
    lease = leases.take(net)  # afterwards: a fork inherits the lock
    leases.write(lease, Facts("c" * 64, "old", dying, processes.start_time(dying)))
    os.close(lease.fd)
    pidfd = os.pidfd_open(dying)
    os.kill(dying, signal.SIGKILL)
    heir = leases.take(net, last=str(lease.address))
    assert heir.address == lease.address
    assert processes.wait_until_dead(pidfd, 0)
    processes.wait(dying)
    os.close(pidfd)
    leases.release(heir)


def test_a_kill_at_any_step_of_the_making_is_mended_by_the_next_command() -> None:
    """Also one between two steps: the next "create" or "ensure" finds, finishes, goes on."""
    from minirt.kernel import steps

    def die_after(number: int, work: Callable[[], object]) -> bool:
        """Do the work in a process that kills itself at a step; say whether it got that far."""

        def child() -> int:
            left = iter(range(number, -1, -1))
            steps.send_to(lambda _: os.kill(os.getpid(), 9) if next(left) == 0 else None)
            work()
            return 0

        return processes.wait(processes.fork(child)) == processes.SIGNAL_BASE + 9

    number = 0
    while die_after(number, lambda: create.create(Plan("half", subnets=("10.9.0.0/24",)))):
        with suppress(MinirtError):
            create.create(Plan("half", subnets=("10.9.0.0/24",)))
        net = finding.find("half")
        with machine(net) as one, machine(net) as two:
            assert one.ask(two.address, 80) == one.address
        assert die_after(number % 2, lambda: remove("half"))  # the bridge, then the filter
        bridge.ensure(network("half", subnets=("10.9.0.0/24",)))
        remove("half")
        assert "br-" not in shell("ip", "link").stdout
        shell("nft", "flush", "ruleset")
        shell("sysctl", "-qw", "net.ipv4.ip_forward=0")
        number += 1
    assert number > 5


def remove(name: str) -> None:
    from minirt.network import remove as removal

    removal.remove(finding.find(name))


def test_living_tells_the_truth_about_a_network_in_use() -> None:
    net = network()
    with machine(net, name="web") as one:
        assert {str(a): f.name for a, f in leases.living(net).items()} == {one.address: "web"}
        with pytest.raises(Conflict, match="in use by web"):
            remove(net.name)
        assert finding.find(net.name) == net
        assert leases.living(net)[IPv4Address(one.address)].pid == one.pid
    wait_until(lambda: not leases.in_use(net))
    remove(net.name)
