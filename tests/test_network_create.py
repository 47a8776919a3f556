from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirt.errors import InvalidRequest
from minirt.network import plan, spec
from minirt.network.plan import Plan


@pytest.mark.parametrize(
    ("subnet", "gateway"),
    [("10.1.0.0/24", "10.1.0.1"), ("10.1.0.0/30", "10.1.0.1"), ("10.1.0.0/31", "10.1.0.0")],
)
def test_the_gateway_is_the_first_usable_address(subnet: str, gateway: str) -> None:
    found = plan.addresses(Plan("net1", subnets=(subnet,)))
    assert found and found.gateway == IPv4Address(gateway)


def test_the_gateway_is_taken_from_the_range_if_there_is_one() -> None:
    found = plan.addresses(
        Plan(
            "net1",
            subnets=("10.13.1.0/24",),
            ranges=("10.13.1.128/25",),
            aux=("a=10.13.1.128",),
        )
    )
    assert found and found.gateway == IPv4Address("10.13.1.129")
    assert found.range == IPv4Network("10.13.1.128/25")
    assert found.aux == {"a": IPv4Address("10.13.1.128")}


def test_what_is_left_open_is_left_to_us() -> None:
    assert plan.addresses(Plan("net1")) is None


NET = ("10.1.0.0/24",)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Plan("n1", subnets=("foo",)), "invalid subnet foo: invalid CIDR block notation"),
        (Plan("n1", subnets=("10.1.0.0",)), "invalid subnet 10.1.0.0: invalid CIDR block"),
        (Plan("n1", subnets=("10.1.0.0/33",)), "invalid subnet 10.1.0.0/33: invalid CIDR"),
        (Plan("n1", subnets=("10.1.0.5/24",)), "it should be 10.1.0.0/24"),
        (Plan("n1", subnets=("10.1.0.0/32",)), "has no address for a container"),
        (Plan("n1", subnets=("fd00::/64",)), "IPv6"),
        (Plan("n1", subnets=("127.0.0.0/24",)), "for the loopback of a host"),
        (Plan("n1", subnets=("224.0.0.0/24",)), "for multicast"),
        (Plan("n1", subnets=("255.255.255.0/24",)), "for nobody yet"),
        (Plan("n1", ipv6=True), "IPv6"),
        (Plan("n1", subnets=("10.1.0.0/24", "10.2.0.0/24")), "support multiple subnets"),
        (Plan("n1", gateways=("10.1.0.1",)), "must have a corresponding subnet"),
        (Plan("n1", ranges=("10.1.0.0/25",)), "must have a corresponding subnet"),
        (
            Plan("n1", subnets=NET, gateways=("10.2.0.1",)),
            "no matching subnet for gateway 10.2.0.1",
        ),
        (Plan("n1", subnets=NET, gateways=("foo",)), "no matching subnet for gateway foo"),
        (Plan("n1", subnets=NET, gateways=("10.1.0.1", "10.1.0.2")), "a corresponding subnet"),
        (Plan("n1", subnets=NET, gateways=("10.1.0.0",)), "failed to allocate gateway (10.1.0.0)"),
        (Plan("n1", subnets=NET, gateways=("10.1.0.255",)), "Address already in use"),
        (Plan("n1", subnets=NET, ranges=("10.1.0.0/16",)), "CIDR block is bigger than its parent"),
        (Plan("n1", subnets=NET, ranges=("foo",)), "no matching subnet for range foo"),
        (Plan("n1", subnets=NET, ranges=("10.9.0.0/25",)), "no matching subnet for range 10.9"),
        (Plan("n1", subnets=NET, ranges=("10.1.0.5/25",)), "it should be 10.1.0.0/25"),
        (Plan("n1", subnets=NET, aux=("x",)), "no matching subnet for aux-address "),
        (Plan("n1", subnets=NET, aux=("a=10.9.0.1",)), "no matching subnet for aux-address 10.9"),
        (
            Plan("n1", subnets=NET, gateways=("10.1.0.1",), aux=("a=10.1.0.1",)),
            "failed to allocate secondary ip address (a:10.1.0.1): Address already in use",
        ),
        (Plan("n1", subnets=NET, aux=("a=10.1.0.9", "b=10.1.0.9")), "secondary ip address (b:"),
        (Plan("n1", driver="foo"), 'plugin "foo" not found'),
        (Plan("n1", options={spec.MASQUERADE: "foo"}), "failed to parse"),
        (Plan("n1", options={spec.ICC: ""}), "failed to parse"),
        (Plan("n1", options={spec.MTU: "foo"}), "failed to parse"),
        (Plan("n1", options={spec.MTU: "-1"}), "failed to parse"),
        (Plan("n1", options={spec.MTU: "67"}), "from 68 to 65535"),
        (Plan("n1", options={spec.MTU: "99999"}), "from 68 to 65535"),
        (Plan("n1", options={spec.HOST_BINDING: "foo"}), "no IPv4 address"),
        (Plan("n1", options={spec.BRIDGE_NAME: "a" * 16}), "1 to 15 letters"),
        (Plan("n1", options={spec.BRIDGE_NAME: "a b"}), "failed to parse"),
        (Plan("n1", options={spec.BRIDGE_NAME: "../x"}), "failed to parse"),
        (Plan("n1", options={spec.INTERFACE_PREFIX: "a" * 12}), "1 to 11 letters"),
    ],
    ids=str,
)
def test_a_plan_that_makes_no_sense_is_refused_in_a_sentence(wanted: Plan, words: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        plan.check(wanted)
        plan.addresses(wanted)
    assert words in str(refused.value)


def test_unknown_options_are_kept_for_who_knows_them() -> None:
    plan.check(Plan("n1", options={"com.example.colour": "blue", spec.MTU: "1400"}))


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_any_texts_are_taken_or_refused(subnet: str, gateway: str, pool: str) -> None:
    wanted = Plan("n1", subnets=(subnet,), gateways=(gateway,), ranges=(pool,))
    with pytest.raises(InvalidRequest):
        plan.addresses(wanted)


@given(st.integers(0, 2**32 - 1), st.integers(1, 31), st.data())
def test_the_gateway_is_never_an_address_of_all_or_none(
    address: int, length: int, data: st.DataObject
) -> None:
    subnet = IPv4Network((address, length), strict=False)
    longest = data.draw(st.integers(length, 32))
    inside = data.draw(st.integers(0, subnet.num_addresses - 1))
    pool = IPv4Network((subnet[inside], longest), strict=False)
    try:
        found = plan.addresses(Plan("n1", subnets=(str(subnet),), ranges=(str(pool),)))
    except InvalidRequest as refused:
        # The only address of the range may be the network's own; some are for no host.
        assert longest == 32 or "addresses are for" in str(refused)
        return
    assert found and found.gateway in pool
    if subnet.num_addresses > 2:
        assert found.gateway not in (subnet[0], subnet[-1])
