from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirt.errors import Conflict, Exhausted, InvalidRequest
from minirt.network import choice, finding, leases, store
from minirt.network.block import Block
from minirt.network.leases import Facts, Lease
from minirt.network.spec import Network, from_json, to_json

DUAL = Network(
    id="cd" * 32,
    name="dual",
    created="2026-11-24T06:37:10Z",
    subnet4=IPv4Network("192.0.2.0/29"),
    gateway4=IPv4Address("192.0.2.1"),
    subnet6=IPv6Network("2001:db8::/64"),
    gateway6=IPv6Address("2001:db8::1"),
    aux6={"router": IPv6Address("2001:db8::4")},
    chosen6=True,
)


@pytest.fixture
def dual() -> Network:
    store.add(DUAL)
    return DUAL


@contextmanager
def taken6(network: Network, *wanted: str, **more: str | IPv4Address) -> Iterator[list[str]]:
    """Lease one IPv6 address for each of ``wanted`` ("": any) during the body."""
    with ExitStack() as held:
        found = []
        for one in wanted:
            lease = leases.take6(network, wanted=one, **more)  # type: ignore[arg-type]
            assert isinstance(lease, Lease)
            held.callback(leases.release, lease)
            found.append(str(lease.address))
        yield found


def test_a_network_with_ipv6_reads_as_it_was_written(dual: Network) -> None:
    assert from_json(to_json(dual)) == dual
    assert finding.find("dual") == dual


def test_without_ipv6_there_is_no_such_lease() -> None:
    single = replace(DUAL, subnet6=None, gateway6=None)
    assert leases.take6(single) is None
    with pytest.raises(InvalidRequest, match="networks with user configured subnets"):
        leases.take6(single, wanted="2001:db8::9")


def test_the_lowest_free_address_is_taken_and_nobody_gets_what_is_kept(dual: Network) -> None:
    with taken6(dual, "", "", "") as found:
        assert found == ["2001:db8::2/64", "2001:db8::3/64", "2001:db8::5/64"]


def test_the_last_address_of_an_ipv6_subnet_is_one_like_others() -> None:
    small = replace(DUAL, subnet6=IPv6Network("2001:db8::/126"), aux6={})
    store.add(small)
    with taken6(small, "", "") as found:
        assert found == ["2001:db8::2/126", "2001:db8::3/126"]
        with pytest.raises(Exhausted, match="no available IPv6 addresses"):
            leases.take6(small)


def test_what_belongs_together_has_the_same_place_in_its_subnet(dual: Network) -> None:
    with taken6(dual, "", beside=IPv4Address("192.0.2.6")) as found:
        assert found == ["2001:db8::6/64"]
        with taken6(dual, "", beside=IPv4Address("192.0.2.6")) as other:
            assert other == ["2001:db8::2/64"]  # The place is taken.
    with taken6(dual, "", beside=IPv4Address("192.0.2.4")) as found:
        assert found == ["2001:db8::2/64"]  # It is kept for somebody.


def test_the_last_address_comes_back_before_any_other(dual: Network) -> None:
    with taken6(dual, "", last="2001:db8::abcd/64", beside=IPv4Address("192.0.2.6")) as found:
        assert found == ["2001:db8::abcd/64"]


def test_a_wanted_address_is_given_or_its_holder_named(dual: Network) -> None:
    lease = leases.take6(dual, wanted="2001:DB8::0:9")
    assert lease
    leases.write(lease, Facts("c" * 64, "web"))
    assert lease.path.name == "2001:db8::9"
    with pytest.raises(Conflict, match=r"2001:db8::9: container web has it") as refused:
        leases.take6(dual, wanted="2001:db8::9")
    assert "Choose another --ip6." in str(refused.value)
    leases.release(lease)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("2001:db8::1", "it is the gateway"),
        ("2001:db8::", "the address of the network itself"),
        ("2001:db8::4", "kept for router"),
        ("2001:db8:1::4", "no configured subnet or ip-range contain the IP address"),
        ("192.0.2.3", r"invalid IPv6 address: 192\.0\.2\.3"),
        ("2001:db8::9%eth0", "invalid IPv6 address: 2001:db8::9%eth0"),
        ("foo", "invalid IPv6 address: foo"),
    ],
)
def test_an_address_that_nobody_can_have_is_refused(dual: Network, wanted: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        leases.take6(dual, wanted=wanted)


def test_both_families_of_one_container_are_found_among_the_living(dual: Network) -> None:
    four, six = leases.take(dual), leases.take6(dual)
    assert six
    facts = Facts("c" * 64, "web")
    for lease in (four, six):
        leases.write(lease, facts)
    # These locks are ours: nobody else's process says that it lives.
    assert leases.directory(dual).joinpath("2001:db8::2").exists()
    for lease in (six, four):
        leases.release(lease)


def test_a_dead_holders_ipv6_lease_is_swept(dual: Network) -> None:
    path = leases.directory(dual) / "2001:db8::77"
    path.parent.mkdir(parents=True)
    path.write_text('{"container": "x", "name": "dead"}')
    leases.sweep()
    assert not path.exists()


BLOCK4 = Block(IPv4Network("10.0.0.0/8"), IPv4Address("10.0.0.1"))


@given(
    st.integers(2, 2**24 - 2),
    st.integers(1, 127),
    st.lists(st.integers(0, 2**128 - 1), max_size=3),
)
def test_the_first_candidates_are_found_at_once_whatever_the_size(
    place: int, length: int, liked: list[int]
) -> None:
    subnet = IPv6Network((0x2001_0DB8 << 96, length), strict=False)
    block6 = Block(subnet, subnet[1])
    twin = choice.twin(BLOCK4, block6, BLOCK4.subnet[place])
    assert twin in ("", str(subnet[place] if place < subnet.num_addresses else ""))
    likes = [twin, *(str(IPv6Address(one)) for one in liked)]
    found = choice.candidates(block6, likes, [])
    expected = [one for one in map(ip_address, filter(None, likes)) if one in subnet]
    assert [next(found) for _ in expected] == expected
    assert next(found) == subnet[0]


@given(st.sampled_from(["10.0.0.0/28", "2001:db8::/124", "::ffff:0:0/124"]), st.data())
def test_who_is_known_is_passed_over_unless_he_is_liked(subnet: str, data: st.DataObject) -> None:
    block = Block(ip_network(subnet), ip_network(subnet)[1])
    ours = [str(one) for one in block.pool]
    known = data.draw(st.lists(st.sampled_from([*ours, "10.0.1.2", "2001:db8:1::1"])))
    liked = data.draw(st.lists(st.sampled_from(ours), max_size=2))
    wanted = [*liked, *(one for one in ours if one not in known)]
    assert [str(one) for one in choice.candidates(block, liked, known)] == wanted
