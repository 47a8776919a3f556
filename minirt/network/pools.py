"""Subnets for networks whose creator names none: Docker's pools, in Docker's order."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from ipaddress import IPv4Network

from minirt.errors import Exhausted

# RFC 1918, section 3, cut as Docker cuts it: 172.17/16 to 172.31/16, then sixteen /20.
POOLS = (
    *(IPv4Network(f"172.{number}.0.0/16") for number in range(17, 32)),
    *IPv4Network("192.168.0.0/16").subnets(new_prefix=20),
)


def choose(
    taken: Iterable[IPv4Network],
    last: IPv4Network | None = None,
    pools: Sequence[IPv4Network] = POOLS,
) -> IPv4Network:
    """Return the first pool after ``last`` that overlaps nothing ``taken``; the search wraps.

    It starts after the one given out last, as Docker's does: who remembers an address of a
    network that was removed does not reach the next one's containers. Raises Exhausted.
    """
    occupied = list(taken)
    start = pools.index(last) + 1 if last in pools else 0
    for pool in (*pools[start:], *pools[:start]):
        if overlapped(pool, occupied) is None:
            return pool
    raise Exhausted(
        "could not find an available, non-overlapping IPv4 address pool among the defaults to"
        " assign to the network",
        "networks and routes take them all",
        "Remove a network, or choose one with --subnet.",
    )


def overlapped(subnet: IPv4Network, others: Collection[IPv4Network]) -> IPv4Network | None:
    """Return the first of ``others`` that shares an address with ``subnet``."""
    return next((one for one in others if one.overlaps(subnet)), None)
