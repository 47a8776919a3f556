"""MAC addresses that follow from IP addresses."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface


def mac_of(address: IPv4Address | IPv4Interface) -> str:
    """Return the MAC address that goes with an IP address, as Docker makes it.

    02 marks a locally administered address (the U/L bit of IEEE 802). Since the two always
    come together, no neighbour's ARP cache is wrong after a reuse.
    """
    return (b"\x02\x42" + address.packed).hex(":")
