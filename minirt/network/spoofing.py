"""A port of a bridge may only say who it is: its MAC and addresses (spoofing.nft).

The elements of a port stay when its interface goes, with the namespace at its other end: they
let nobody through who isn't there. The next port of that name, which has the same address,
replaces them, so there are never more than the network ever had containers at once; those
that are left go with the network. What belongs to a port is written in its element's comment.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

from minirt.kernel import nft_messages, nftables
from minirt.kernel.nft_elements import Element, add, create, ip_key, mac_key, name_key
from minirt.kernel.steps import announce
from minirt.network import choice, leases, store
from minirt.network.block import Address, Interface, interface
from minirt.network.identity import host_end, mac_of
from minirt.network.spec import Network

RULES = Path(__file__).with_name("spoofing.nft")
TABLE = "bridge minirt"

_TIE = "tie the port to its addresses"
_ABSENT = {errno.EOPNOTSUPP, errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT}
_PORT = re.compile(r'"(\S+)" comment "([^"]+)" : ')  # of "get" and of "list"


def restore() -> None:
    """Make the table, or replace its rules, with the ports of who lives."""
    try:
        nftables.replace(TABLE, RULES)
    except OSError as error:
        if error.errno not in _ABSENT:
            raise
        announce("note: this kernel filters no bridges, so containers can forge addresses")
        return
    for network in store.bridged():
        admit(network)
        for port, mac, addresses, trusted in _living(network):
            bind(network, port, mac, addresses, trusted=trusted)


def bind(
    network: Network, port: str, mac: str, addresses: Sequence[Interface], *, trusted: bool = False
) -> None:
    """Let a port use its MAC and addresses, and no other; it needs not be there yet.

    One that is ``trusted`` (CAP_NET_ADMIN) may have further addresses, but none of others'.
    """
    ips = [one.ip for one in addresses]
    identity = " ".join([mac, *map(str, ips)])
    # To ask what is known of a port costs as much as all ports together. Of one that was
    # as usual it needs not be asked: it is replaced by the same, or an unusual one is in its way.
    usual = is_usual(network, mac, ips)
    verdict = f"{'jump' if usual else 'goto'} {'trusted' if trusted else 'strict'}"
    entry = Element(TABLE, "ports", (name_key(port),), verdict, identity)
    changes = [add(entry) if usual else create(entry), *map(add, _elements(port, identity))]
    try:
        nft_messages.run(changes, _TIE)
    except FileExistsError:
        commands = [*_forgetting(port, _known(port)), *(one.words for one in changes)]
        nftables.run("; ".join(commands), _TIE)
    except FileNotFoundError:
        restore()
        with suppress(FileNotFoundError, FileExistsError):  # no such kernel; restored
            nft_messages.run(changes, _TIE)


def release(port: str) -> None:
    """Forget a port, if it is known."""
    with suppress(FileNotFoundError):
        commands = _forgetting(port, _known(port))
        nftables.run("; ".join(commands), "forget the port of the bridge")


def admit(network: Network) -> None:
    """Keep the gateway's address from everybody else."""
    with suppress(FileNotFoundError):
        nftables.run(f"add element {_gateway(network)}", "keep the gateway's address for it")


def forget(network: Network) -> None:
    """Forget the gateway, and the ports that a network had, by their addresses."""
    try:
        listed = nftables.ask(f"list map {TABLE} ports")
    except FileNotFoundError:
        return
    taken = _gateway(network)
    commands = [f"add element {taken}", f"delete element {taken}"]  # there or not
    for port, identity in _PORT.findall(listed):
        _mac, *addresses = identity.split()
        if any(ip_address(one) in block.subnet for one in addresses for block in network.blocks):
            commands += _forgetting(port, identity)
    nftables.run("; ".join(commands), "forget the ports of the bridge")


def is_usual(network: Network, mac: str, ips: Sequence[Address]) -> bool:
    """Say whether MAC and IPv6 address are those that follow from the IPv4 address."""
    first, *others = ips
    twins = [choice.twin(network.block(4), network.block(6), first)] if others else []
    return mac == mac_of(first) and [str(one) for one in others] == twins


def _gateway(network: Network) -> str:
    return f"{TABLE} taken {{ {network.gateway4} }}"


def _known(port: str) -> str:
    """Return what a port may say. Raises FileNotFoundError."""
    found = _PORT.search(nftables.ask(f"get element {TABLE} ports {{ {port} }}"))
    return found[2] if found else ""


def _forgetting(port: str, identity: str) -> list[str]:
    """Return the commands that remove all that is known of a port."""
    # Added before it is deleted, an element may be missing.
    others = [one.words for one in _elements(port, identity)]
    commands = [f"{verb} element {words}" for verb in ("add", "delete") for words in others]
    return [f"delete element {TABLE} ports {{ {port} }}", *commands]


def _elements(port: str, identity: str) -> list[Element]:
    """Return all elements of a port but that in the map of ports."""
    first, *others = identity.split()
    link, own = name_key(port), mac_key(first)
    found = [Element(TABLE, "macs", (link, own))]
    for address in map(ip_address, others):
        if address.version == 6:
            found.append(Element(TABLE, "addresses6", (link, ip_key(address))))
        else:
            found.append(Element(TABLE, "addresses", (link, own, ip_key(address))))
            found.append(Element(TABLE, "taken", (ip_key(address),)))
    return found


def _living(network: Network) -> Iterable[tuple[str, str, list[Interface], bool]]:
    """Yield for each living endpoint its port, MAC, addresses, and whether it is trusted."""
    found: dict[int, list[Address]] = {}
    living = leases.living(network)
    for address, facts in living.items():
        found.setdefault(facts.pid, []).append(address)
    for addresses in found.values():
        addresses.sort(key=lambda one: one.version)
        facts = living[addresses[0]]
        mac = facts.mac or mac_of(addresses[0])
        whole = [interface(one, network.block(one.version).subnet) for one in addresses]
        yield host_end(addresses[0]), mac, whole, facts.trusted
