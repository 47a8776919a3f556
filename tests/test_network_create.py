from __future__ import annotations

from contextlib import nullcontext
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minirt.errors import InvalidRequest
from minirt.network import create, plan, spec, store, subnets
from minirt.network.plan import Plan


@pytest.mark.parametrize(
    ("subnet", "gateway"),
    [
        ("10.1.0.0/24", "10.1.0.1"),
        ("10.1.0.0/30", "10.1.0.1"),
        ("10.1.0.0/31", "10.1.0.0"),
        ("fd00::/64", "fd00::1"),
        ("fd00::/127", "fd00::"),
    ],
)
def test_the_gateway_is_the_first_usable_address(subnet: str, gateway: str) -> None:
    (found,) = subnets.fixed(Plan("net1", subnets=(subnet,))).values()
    assert found.gateway == ip_address(gateway)


def test_the_gateway_is_taken_from_the_range_if_there_is_one() -> None:
    (found,) = subnets.fixed(
        Plan(
            "net1",
            subnets=("10.13.1.0/24",),
            ranges=("10.13.1.128/25",),
            aux=("a=10.13.1.128",),
        )
    ).values()
    assert found.gateway == IPv4Address("10.13.1.129")
    assert found.range == IPv4Network("10.13.1.128/25")
    assert found.aux == {"a": IPv4Address("10.13.1.128")}


def test_what_is_left_open_is_left_to_us() -> None:
    assert subnets.fixed(Plan("net1")) == {}


NET = ("10.1.0.0/24",)
NET6 = ("fd00::/64",)


def test_gateways_ranges_and_reserved_addresses_belong_to_the_subnet_that_has_them() -> None:
    found = subnets.fixed(
        Plan(
            "net1",
            subnets=("fd00::/64", "10.1.0.0/24"),
            gateways=("10.1.0.9", "fd00::9"),
            ranges=("fd00::100/120",),
            aux=("a=10.1.0.5", "b=fd00::5"),
        )
    )
    assert found[4].gateway == IPv4Address("10.1.0.9")
    assert found[6].gateway == IPv6Address("fd00::9")
    assert (found[4].range, found[6].range) == (None, IPv6Network("fd00::100/120"))
    assert found[4].aux == {"a": IPv4Address("10.1.0.5")}
    assert found[6].aux == {"b": IPv6Address("fd00::5")}


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Plan("n1", subnets=("foo",)), "invalid subnet foo: invalid CIDR block notation"),
        (Plan("n1", subnets=("10.1.0.0",)), "invalid subnet 10.1.0.0: invalid CIDR block"),
        (Plan("n1", subnets=("10.1.0.0/33",)), "invalid subnet 10.1.0.0/33: invalid CIDR"),
        (Plan("n1", subnets=("10.1.0.5/24",)), "it should be 10.1.0.0/24"),
        (Plan("n1", subnets=("10.1.0.0/32",)), "has no address for a container"),
        (Plan("n1", subnets=("fd00::1/64",)), "it should be fd00::/64"),
        (Plan("n1", subnets=("fd00::/129",)), "Write it as fd00:1::/64."),
        (Plan("n1", subnets=("fd00::/128",)), "has no address for a container"),
        (Plan("n1", subnets=("fd00::%eth0/64",)), "invalid CIDR block notation"),
        (Plan("n1", subnets=("::/0",)), "for hosts themselves"),
        (Plan("n1", subnets=("::ffff:0:0/96",)), "for hosts themselves"),
        (Plan("n1", subnets=("fe80::/64",)), "for single links"),
        (Plan("n1", subnets=("ff00::/16",)), "for multicast"),
        (Plan("n1", subnets=NET6, gateways=("10.1.0.1",)), "no matching subnet for gateway"),
        (Plan("n1", subnets=NET6, gateways=("fd00::1%eth0",)), "no matching subnet for gateway"),
        (Plan("n1", subnets=NET6, gateways=("fd00::",)), "Address already in use"),
        (Plan("n1", subnets=NET6, gateways=("fd00::1", "fd00::2")), "a corresponding subnet"),
        (Plan("n1", subnets=NET6, ranges=("fd00::/56",)), "is bigger than its parent subnet"),
        (Plan("n1", subnets=NET6, ranges=("10.1.0.0/25",)), "no matching subnet for range"),
        (
            Plan("n1", subnets=NET6, gateways=("fd00::1",), aux=("a=fd00::1",)),
            "secondary ip address (a:fd00::1)",
        ),
        (Plan("n1", subnets=("127.0.0.0/24",)), "for the loopback of a host"),
        (Plan("n1", subnets=("224.0.0.0/24",)), "for multicast"),
        (Plan("n1", subnets=("255.255.255.0/24",)), "for nobody yet"),
        (Plan("n1", subnets=("10.1.0.0/24", "10.2.0.0/24")), "support multiple subnets"),
        (Plan("n1", subnets=("fd00::/64", "fd00:1::/64")), "support multiple subnets"),
        (Plan("n1", subnets=("10.1.0.0/16", "10.1.2.0/24")), "multiple overlapping subnet"),
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
        subnets.fixed(wanted)
    assert words in str(refused.value)


def test_unknown_options_are_kept_for_who_knows_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the kernel: no link is looked for, and none is made."""
    options = {"com.example.colour": "blue", spec.MTU: "1400"}
    wanted = Plan("n1", subnets=NET, options=options)
    plan.check(wanted)
    monkeypatch.setattr("minirt.kernel.netlink.connect", nullcontext)
    monkeypatch.setattr(create, "_is_there", lambda *_: False)
    with store.changing():
        store.add(create._decide(wanted, subnets.fixed(wanted)))
    kept = store.load("n1")
    assert kept is not None and kept.options == options


TEXTS = st.text(max_size=20)


@given(
    subnet=st.just("10.1.0.0/24") | TEXTS,
    gateway=st.sampled_from(["10.1.0.1", "10.1.0.200"]) | TEXTS,
    pool=st.sampled_from(["10.1.0.128/25", "10.1.0.8/29", "10.1.0.0/24"]) | TEXTS,
)
@example("10.1.0.0/24", "10.1.0.200", "10.1.0.8/29")
def test_addresses_are_taken_as_they_are_written_and_other_texts_are_refused(
    subnet: str, gateway: str, pool: str
) -> None:
    wanted = Plan("n1", subnets=(subnet,), gateways=(gateway,), ranges=(pool,))
    if all(text.startswith("10.1.0.") for text in (subnet, gateway, pool)):
        (found,) = subnets.fixed(wanted).values()
        assert (str(found.subnet), str(found.gateway), str(found.range)) == (subnet, gateway, pool)
    else:
        with pytest.raises(InvalidRequest):
            subnets.fixed(wanted)


@given(st.integers(0, 2**32 - 1), st.integers(1, 31), st.data())
def test_the_gateway_is_never_an_address_of_all_or_none(
    address: int, length: int, data: st.DataObject
) -> None:
    subnet = IPv4Network((address, length), strict=False)
    longest = data.draw(st.integers(length, 32))
    inside = data.draw(st.integers(0, subnet.num_addresses - 1))
    pool = IPv4Network((subnet[inside], longest), strict=False)
    try:
        (found,) = subnets.fixed(Plan("n1", subnets=(str(subnet),), ranges=(str(pool),))).values()
    except InvalidRequest as refused:
        # The only address of the range may be the network's own; some are for no host.
        assert longest == 32 or "addresses are for" in str(refused)
        return
    assert found.gateway in pool
    if subnet.num_addresses > 2:
        assert found.gateway not in (subnet[0], subnet[-1])


@given(st.integers(0, 2**128 - 1), st.integers(8, 126), st.data())
def test_an_ipv6_gateway_is_never_the_address_of_any_router(
    address: int, length: int, data: st.DataObject
) -> None:
    subnet = IPv6Network((address, length), strict=False)
    longest = data.draw(st.integers(length, 127))
    inside = data.draw(st.integers(0, subnet.num_addresses - 1))
    pool = IPv6Network((subnet[inside], longest), strict=False)
    try:
        (found,) = subnets.fixed(Plan("n1", subnets=(str(subnet),), ranges=(str(pool),))).values()
    except InvalidRequest as refused:
        assert "addresses are for" in str(refused)
        return
    assert found.gateway in pool
    assert found.gateway != subnet[0]
