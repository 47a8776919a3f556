from __future__ import annotations

from ipaddress import IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirt.errors import Exhausted
from minirt.network import ula

SITE = IPv6Network("fd12:3456:789a::/48")


def test_the_hosts_own_addresses_are_drawn_once_and_kept() -> None:
    own = ula.own()
    assert own == ula.own()
    assert own.prefixlen == 48
    assert own.subnet_of(IPv6Network("fd00::/8"))  # RFC 4193, section 3.2: the L bit is set


def test_one_subnet_comes_after_the_other_and_the_last_is_followed_by_the_first() -> None:
    first = ula.choose(SITE, [])
    assert str(first) == "fd12:3456:789a::/64"
    assert str(ula.choose(SITE, [first])) == "fd12:3456:789a:1::/64"
    assert str(ula.choose(SITE, [], last=first)) == "fd12:3456:789a:1::/64"
    assert ula.choose(SITE, [], last=IPv6Network("fd12:3456:789a:ffff::/64")) == first
    assert ula.choose(SITE, [], last=IPv6Network("fd99::/64")) == first  # another host's memory


def test_a_host_without_a_free_subnet_says_so() -> None:
    with pytest.raises(Exhausted, match="non-overlapping IPv6 address pool"):
        ula.choose(SITE, [IPv6Network("fd00::/8")])


@given(st.lists(st.integers(0, 40), max_size=40), st.integers(0, 40))
def test_a_subnet_is_never_given_twice(numbers: list[int], last: int) -> None:
    taken = [IPv6Network((int(SITE.network_address) + (one << 64), 64)) for one in numbers]
    before = IPv6Network((int(SITE.network_address) + (last << 64), 64))
    found = ula.choose(SITE, taken, before)
    assert found.subnet_of(SITE)
    assert found.prefixlen == 64
    assert not any(found.overlaps(one) for one in taken)
