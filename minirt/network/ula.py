"""IPv6 subnets for networks whose creator names none: of this host's own (RFC 4193).

Forty random bits make a /48 that no other host is likely to have, so that two hosts' networks
can be joined later. They are drawn once, and kept:

    ROOT/host.json      the number of this host
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv6Network

from minirt.errors import Exhausted
from minirt.state import made, new_id, read_json, root_dir, write_json

_LOCAL = 0xFD << 120  # RFC 4193, section 3.1: fc00::/7, with the bit that says "by chance"
_SUBNETS = 1 << 16  # of 64 bits in one of 48


def own() -> IPv6Network:
    """Return the /48 of this host; for who holds ``store.changing``, as it may be made now."""
    path = made(root_dir()) / "host.json"
    try:
        number = str(read_json(path)["id"])
    except FileNotFoundError:
        number = new_id()
        write_json(path, {"id": number})
    return IPv6Network((_LOCAL | int(number[:10], 16) << 80, 48))


def choose(
    site: IPv6Network, taken: Iterable[IPv6Network], last: IPv6Network | None = None
) -> IPv6Network:
    """Return the first /64 after ``last`` that overlaps nothing ``taken``; the search wraps.

    Raises Exhausted.
    """
    occupied = [one for one in taken if one.overlaps(site)]
    for subnet in _each(site, last):
        if not any(subnet.overlaps(one) for one in occupied):
            return subnet
    raise Exhausted(
        "could not find an available, non-overlapping IPv6 address pool among the defaults to"
        " assign to the network",
        f"networks and routes take all of {site}",
        "Remove a network, or choose one with --subnet.",
    )


def _each(site: IPv6Network, last: IPv6Network | None) -> Iterator[IPv6Network]:
    base, start = int(site.network_address), 0
    if last is not None and last.subnet_of(site):
        start = (int(last.network_address) - base >> 64) + 1
    for number in range(start, start + _SUBNETS):
        yield IPv6Network((base + (number % _SUBNETS << 64), 64))
