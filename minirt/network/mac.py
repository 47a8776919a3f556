"""MAC addresses that follow from IP addresses."""

from __future__ import annotations

from minirt.network.block import Address


def mac_of(address: Address) -> str:
    """Return the MAC address that goes with an IPv4 address, as Docker makes it.

    02 marks a locally administered address (the U/L bit of IEEE 802). Since the two always
    come together, no neighbour's ARP cache is wrong after a reuse. Of an IPv6 address it takes
    the last four bytes.
    """
    return (b"\x02\x42" + address.packed[-4:]).hex(":")
