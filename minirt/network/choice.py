"""Which address somebody gets who asks for one, as far as that can be told without locks."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from ipaddress import ip_address

from minirt.errors import InvalidRequest
from minirt.network.block import Address, Block


def candidates(block: Block, liked: list[str], known: Iterable[str]) -> Iterator[Address]:
    """Yield what is to be tried: what is ``liked``, then the pool from its lowest address on.

    Of the pool all but those that are ``known``, of either family. They are compared as bytes: to
    make an address of each, and a text of that, took a millisecond where five hundred are known.
    """
    for text in filter(None, liked):
        address = ip_address(text.partition("/")[0])
        if address in block.subnet:
            yield address
    is_six = block.version == 6
    family = socket.AF_INET6 if is_six else socket.AF_INET
    passed_over = {socket.inet_pton(family, one) for one in known if (":" in one) is is_six}
    first, size = int(block.pool.network_address), block.subnet.max_prefixlen // 8
    for number in range(first, first + block.pool.num_addresses):
        packed = number.to_bytes(size)
        if packed not in passed_over:
            yield ip_address(packed)


def twin(block: Block, other: Block, address: Address | None) -> str:
    """Return the address of ``other`` that has the place of ``address`` in ``block``."""
    if address is None:
        return ""
    place = int(address) - int(block.subnet.network_address)
    if place >= other.subnet.num_addresses or other.subnet[place] not in other.pool:
        return ""
    return str(other.subnet[place])


def refuse(network: str, wanted: str) -> None:
    """Refuse any ``wanted`` address where no subnet of its family was asked for."""
    if wanted:
        what = f"invalid endpoint settings for network {network}"
        why = (
            "user specified IP address is supported only when connecting to networks with user"
            " configured subnets"
        )
        raise InvalidRequest(what, why, "Make the network with --subnet.")


def checked(network: str, block: Block, wanted: str) -> Address:
    """Return the address that was asked for. Raises InvalidRequest."""
    settings = f"invalid endpoint settings for network {network}"
    if not block.chosen:
        refuse(network, wanted)
    try:
        address: Address | None = ip_address(wanted)
    except ValueError:
        address = None
    if address is None or address.version != block.version or "%" in wanted:
        raise InvalidRequest(settings, f"invalid IPv{block.version} address: {wanted}") from None
    if address not in block.subnet:
        why = f"no configured subnet or ip-range contain the IP address {wanted}"
        raise InvalidRequest(settings, why, f"The subnet is {block.subnet}.")
    what = block.reserved().get(address)
    if what:
        raise InvalidRequest(f"Address already in use: {wanted}", f"it is {what}")
    return address
