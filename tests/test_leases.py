from __future__ import annotations

import os
import signal
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirt.errors import Conflict, Exhausted, InvalidRequest, NotFound
from minirt.kernel import locks, processes
from minirt.network import leases, store
from minirt.network.leases import Facts, Lease
from minirt.network.spec import Network

TINY = Network(  # RFC 5737; 8 addresses, 5 of them for lease
    id="ab" * 32,
    name="tiny",
    created="2026-11-24T06:37:10Z",
    subnet4=IPv4Network("192.0.2.0/29"),
    gateway4=IPv4Address("192.0.2.1"),
    chosen=True,
)


@pytest.fixture
def tiny() -> Network:
    store.add(TINY)
    return TINY


def test_the_lowest_free_address_is_taken_and_at_once_usable_again(tiny: Network) -> None:
    one, two, three = (leases.take(tiny) for _ in range(3))
    assert [str(lease.address) for lease in (one, two, three)] == [
        "192.0.2.2/29",
        "192.0.2.3/29",
        "192.0.2.4/29",
    ]
    leases.release(two)
    again = leases.take(tiny)
    assert again.address == two.address
    for lease in (one, again, three):
        leases.release(lease)
    assert list(leases.directory(tiny).iterdir()) == []


def test_the_last_address_comes_back_if_it_is_free(tiny: Network) -> None:
    first = leases.take(tiny, last="192.0.2.5/29")
    second = leases.take(tiny, last="192.0.2.5")
    assert str(first.address.ip) == "192.0.2.5"
    assert str(second.address.ip) == "192.0.2.2"
    for lease in (first, second):
        leases.release(lease)


@pytest.mark.parametrize("last", ["192.0.2.1", "192.0.2.0", "192.0.2.7", "10.0.0.2", "192.0.2.9"])
def test_a_last_address_that_is_not_for_lease_any_more_is_forgotten(
    tiny: Network, last: str
) -> None:
    lease = leases.take(tiny, last=last)
    assert str(lease.address.ip) == "192.0.2.2"
    leases.release(lease)


def test_a_wanted_address_is_given_or_its_holder_named(tiny: Network) -> None:
    lease = leases.take(tiny, wanted="192.0.2.6")
    leases.write(lease, Facts("c" * 64, "web"))
    with pytest.raises(Conflict, match=r"already in use: 192\.0\.2\.6: container web has it"):
        leases.take(tiny, wanted="192.0.2.6")
    leases.release(lease)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("192.0.2.1", "it is the gateway"),
        ("192.0.2.0", "the address of the network itself"),
        ("192.0.2.7", "the broadcast address"),
        ("192.0.2.8", "no configured subnet or ip-range contain the IP address 192.0.2.8"),
        ("fd00::1", "invalid IPv4 address: fd00::1"),
        ("foo", "invalid IPv4 address: foo"),
    ],
)
def test_an_address_that_nobody_can_have_is_refused(tiny: Network, wanted: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        leases.take(tiny, wanted=wanted)


def test_an_address_can_be_wanted_only_where_the_subnet_was_chosen() -> None:
    automatic = replace(TINY, chosen=False)
    store.add(automatic)
    with pytest.raises(InvalidRequest, match="networks with user configured subnets"):
        leases.take(automatic, wanted="192.0.2.3")


def test_automatic_addresses_come_from_the_range_and_wanted_ones_from_the_subnet() -> None:
    ranged = replace(
        TINY, range4=IPv4Network("192.0.2.4/30"), aux={"other": IPv4Address("192.0.2.5")}
    )
    store.add(ranged)
    taken = [leases.take(ranged), leases.take(ranged), leases.take(ranged, wanted="192.0.2.2")]
    assert [str(lease.address.ip) for lease in taken] == ["192.0.2.4", "192.0.2.6", "192.0.2.2"]
    for lease in taken:
        leases.release(lease)


def test_a_full_network_says_so_and_what_to_do(tiny: Network) -> None:
    held = [leases.take(tiny) for _ in range(5)]
    with pytest.raises(Exhausted, match=r"no available IPv4 addresses .*: tiny: all addresses of"):
        leases.take(tiny)
    for lease in held:
        leases.release(lease)


def test_no_address_is_given_of_a_network_that_was_removed_meanwhile(tiny: Network) -> None:
    store.spec_path("tiny").unlink()
    with pytest.raises(NotFound, match="network tiny not found"):
        leases.take(tiny)
    assert list(leases.directory(tiny).iterdir()) == []


def test_a_large_network_costs_no_search() -> None:
    large = replace(TINY, subnet4=IPv4Network("10.0.0.0/8"), gateway4=IPv4Address("10.0.0.1"))
    store.add(large)
    lease = leases.take(large)
    assert str(lease.address) == "10.0.0.2/8"
    leases.release(lease)


def test_what_a_killed_holder_left_is_given_last_unless_it_was_swept(tiny: Network) -> None:
    killed = [leases.take(tiny) for _ in range(2)]
    third = leases.take(tiny)
    for lease in killed:
        leases.write(lease, Facts("c" * 64, "victim"))
        os.close(lease.fd)
    taken = [leases.take(tiny) for _ in range(3)]
    assert [int(lease.address.ip) & 0xFF for lease in taken] == [5, 6, 2]
    leases.sweep()
    taken.append(leases.take(tiny))
    assert int(taken[-1].address.ip) & 0xFF == 3
    with pytest.raises(Exhausted):
        leases.take(tiny)
    for lease in [third, *taken]:
        leases.release(lease)


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"name": "x"}', '{"container": "c", '])
def test_what_is_being_written_is_no_holder_yet(tiny: Network, text: str) -> None:
    lease = leases.take(tiny)
    lease.path.write_text(text)
    assert leases.read(lease.path) is None
    assert leases.living(tiny) == {}
    assert leases.in_use(tiny)
    leases.release(lease)


def test_the_living_are_known_by_their_facts(tiny: Network) -> None:
    lease, silent = leases.take(tiny), leases.take(tiny)
    facts = Facts("c" * 64, "web", pid=1, born=2, mac="02:42:c0:00:02:02", names=["web", "www"])
    leases.write(lease, facts)
    (leases.directory(tiny) / "192.0.2.6").write_text('{"container": "dead"}')
    assert leases.living(tiny) == {IPv4Address("192.0.2.2"): facts}
    assert leases.in_use(tiny)
    for one in (lease, silent):
        leases.release(one)
    assert not leases.in_use(tiny)


def test_facts_are_replaced_in_place_by_shorter_ones(tiny: Network) -> None:
    lease = leases.take(tiny)
    leases.write(lease, Facts("c" * 64, "a-very-long-name", names=["x" * 60]))
    inode = lease.path.stat().st_ino
    leases.write(lease, Facts("c" * 64, "b"))
    assert lease.path.stat().st_ino == inode
    assert leases.read(lease.path) == Facts("c" * 64, "b")
    leases.release(lease)


def test_a_killed_holder_frees_its_address_without_running_any_code(tiny: Network) -> None:
    reader, writer = os.pipe()

    def hold_forever() -> int:
        lease = leases.take(tiny)
        leases.write(lease, Facts("c" * 64, "victim"))
        os.write(writer, b"!")
        signal.pause()
        return 0

    victim = processes.fork(hold_forever)
    os.read(reader, 1)
    (path,) = leases.directory(tiny).iterdir()
    assert locks.is_held(path)

    processes.kill(victim)

    assert not leases.in_use(tiny)
    heir = leases.take(tiny, last=path.name)
    assert heir.path == path
    assert leases.read(path) is None  # nothing of the dead is left in it
    leases.release(heir)
    os.close(reader)
    os.close(writer)


def test_the_address_is_not_given_before_the_old_init_is_dead(
    tiny: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its monitor's lock has fallen, but it lives (here: for ever): the next address is given."""
    monkeypatch.setattr(leases, "DYING", 0.01)

    def live_for_ever() -> int:
        signal.pause()
        return 0

    survivor = processes.fork(live_for_ever)
    first = leases.take(tiny)
    path = leases.directory(tiny) / "192.0.2.3"
    born = processes.start_time(survivor)
    path.write_text(f'{{"container": "c", "pid": {survivor}, "born": {born}}}')
    second = leases.take(tiny, last="192.0.2.3")
    processes.kill(survivor)
    third = leases.take(tiny, last="192.0.2.3")
    taken = [str(lease.address.ip) for lease in (first, second, third)]
    assert taken == ["192.0.2.2", "192.0.2.4", "192.0.2.3"]
    for lease in (first, second, third):
        leases.release(lease)


@given(st.lists(st.integers(0, 4) | st.none(), max_size=25))
def test_no_two_ever_hold_one_address(moves: list[int | None]) -> None:
    """Take (None) and give back (the n-th) in any order."""
    if not store.spec_path("tiny").exists():
        store.add(TINY)
    held: list[Lease] = []
    for move in moves:
        if move is None and len(held) < 5:
            lease = leases.take(TINY)
            free = {IPv4Address("192.0.2.2") + n for n in range(5)} - {o.address.ip for o in held}
            assert lease.address.ip == min(free)
            held.append(lease)
        elif move is not None and move < len(held):
            leases.release(held.pop(move))
    for lease in held:
        leases.release(lease)
