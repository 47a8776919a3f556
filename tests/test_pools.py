from __future__ import annotations

from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirt.errors import Exhausted
from minirt.network import pools
from minirt.network.pools import POOLS

subnets = st.builds(
    lambda address, length: IPv4Network((address, length), strict=False),
    st.integers(0, 2**32 - 1),
    st.integers(8, 32),
)


def test_the_pools_are_dockers_in_dockers_order() -> None:
    assert [str(pool) for pool in POOLS[:3]] == ["172.17.0.0/16", "172.18.0.0/16", "172.19.0.0/16"]
    assert [str(pool) for pool in POOLS[14:17]] == [
        "172.31.0.0/16",
        "192.168.0.0/20",
        "192.168.16.0/20",
    ]
    assert len(POOLS) == 31


def test_the_first_free_pool_is_taken() -> None:
    assert pools.choose([]) == POOLS[0]
    assert pools.choose([IPv4Network("172.17.9.0/24"), POOLS[1]]) == POOLS[2]


def test_the_search_goes_on_after_the_last_one_and_wraps() -> None:
    assert pools.choose([], last=POOLS[4]) == POOLS[5]
    assert pools.choose([], last=POOLS[-1]) == POOLS[0]
    assert pools.choose(POOLS[5:], last=POOLS[4]) == POOLS[0]
    assert pools.choose([], last=IPv4Network("10.0.0.0/8")) == POOLS[0]


def test_when_all_are_taken_it_says_so() -> None:
    with pytest.raises(Exhausted, match="could not find an available"):
        pools.choose([IPv4Network("172.16.0.0/12"), IPv4Network("192.168.0.0/16")])


@given(st.lists(subnets, max_size=8), st.sampled_from([None, *POOLS]))
def test_what_is_chosen_overlaps_nothing(
    taken: list[IPv4Network], last: IPv4Network | None
) -> None:
    free = [pool for pool in POOLS if not any(pool.overlaps(one) for one in taken)]
    if not free:
        with pytest.raises(Exhausted):
            pools.choose(taken, last)
    else:
        assert pools.choose(taken, last) in free


@given(st.integers(1, 31))
def test_networks_made_one_after_the_other_never_overlap(number: int) -> None:
    taken: list[IPv4Network] = []
    for _ in range(number):
        taken.append(pools.choose(taken, taken[-1] if taken else None))
    assert len(set(taken)) == number
