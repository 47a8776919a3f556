"""What follows from an endpoint's IP address: its MAC address, and its name on the host."""

from __future__ import annotations

from ipaddress import IPv6Address

from minirt.network.block import Address


def mac_of(address: Address) -> str:
    """Return the MAC address that goes with an IPv4 address, as Docker makes it.

    02 marks a locally administered address (the U/L bit of IEEE 802). Since the two always
    come together, no neighbour's ARP cache is wrong after a reuse. Of an IPv6 address it takes
    the last four bytes.
    """
    return (b"\x02\x42" + address.packed[-4:]).hex(":")


def link_local(mac: str) -> IPv6Address:
    """Return the link-local address that Linux gives to an interface by its MAC address.

    Its last half is the EUI-64 with the U/L bit inverted (RFC 4291, appendix A). Linux does so
    unless addr_gen_mode says otherwise (networking/ip-sysctl.rst).
    """
    packed = bytes.fromhex(mac.replace(":", ""))
    eui64 = bytes([packed[0] ^ 2]) + packed[1:3] + b"\xff\xfe" + packed[3:]
    return IPv6Address(b"\xfe\x80" + bytes(6) + eui64)


def host_end(address: Address) -> str:
    """Return the name of the pair's end on the host: the address (of IPv6 its end), in hex."""
    if address.version == 6:
        return f"veth{int(address) & 0xFFF_FFFF_FFFF:011x}"
    return f"veth{int(address):08x}"
