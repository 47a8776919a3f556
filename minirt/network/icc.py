"""Ports of a bridge that do not reach each other: networks with icc=false (icc.nft).

Where br_netfilter is off, the bridge also isolates these ports, which stops ARP, too. Elements stay
when their port goes, and go with the network: the next container at that address has the same port.
"""

from __future__ import annotations

import errno
import re
from contextlib import suppress
from ipaddress import IPv4Address
from pathlib import Path

from minirt.kernel import nft_messages, nftables, sysctl
from minirt.kernel.nft_elements import Element, add, mac_key, name_key
from minirt.network import leases, store
from minirt.network.identity import host_end, mac_of
from minirt.network.spec import Network

RULES = Path(__file__).with_name("icc.nft")
TABLE = "bridge minirt_icc"

# They say whether br_netfilter shows bridged packets to the packet filter (ip-sysctl.rst).
_SWITCHES = ("net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables")
_ABSENT = {errno.EOPNOTSUPP, errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT}
_MAC = re.compile(r'([0-9a-f:]{17}) comment "(\S+)"')  # of "list set"
_PORT = re.compile(r'"(veth[0-9a-f]{8})"')


def isolates(network: Network) -> bool:
    """Say whether the bridge itself is to keep the ports of a network from each other.

    While br_netfilter is on that would cut off published ports of neighbours (icc.nft).
    """
    return not network.icc and not any(sysctl.read(one) == "1" for one in _SWITCHES)


def bind(port: str, mac: str) -> None:
    """Keep a port, and the container with that MAC behind it, apart from the other such ports."""
    changes = [add(one) for one in _elements(port, mac)]
    try:
        nft_messages.run(changes, "keep the port apart")
    except FileNotFoundError:
        restore()
        with suppress(FileNotFoundError):  # a kernel that filters no bridges
            nft_messages.run(changes, "keep the port apart")


def restore() -> None:
    """Make the table, or replace its rules, with the living ports, if there is such a network."""
    networks = [one for one in store.bridged() if not one.icc]
    if not networks:
        return
    try:
        nftables.replace(TABLE, RULES)
    except OSError as error:
        if error.errno not in _ABSENT:
            raise
        return  # spoofing.py says so.
    for network in networks:
        for address, facts in leases.living(network).items():
            if address.version == 4:
                bind(host_end(address), facts.mac or mac_of(address))


def forget(network: Network) -> None:
    """Remove all ports of a network from the table."""
    if network.icc:
        return
    try:
        listed = [nftables.ask(f"list set {TABLE} {name}") for name in ("apart", "macs")]
    except FileNotFoundError:
        return
    ports = {one for one in _PORT.findall(listed[0]) if _address(one) in network.subnet4}
    macs = {mac for mac, port in _MAC.findall(listed[1]) if _address(port) in network.subnet4}
    commands = [f"delete element {TABLE} apart {{ {one} }}" for one in sorted(ports)]
    commands += [f"delete element {TABLE} macs {{ {one} }}" for one in sorted(macs)]
    if commands:
        nftables.run("; ".join(commands), "forget the ports that were kept apart")


def _elements(port: str, mac: str) -> list[Element]:
    return [
        Element(TABLE, "apart", (name_key(port),)),
        Element(TABLE, "macs", (mac_key(mac),), comment=port),
    ]


def _address(port: str) -> IPv4Address:
    """Return the address of a port by its name (identity.py)."""
    return IPv4Address(int(port.removeprefix("veth"), 16))
