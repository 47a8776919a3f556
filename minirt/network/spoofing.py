"""A port of a bridge may only use its own MAC and addresses (spoofing.nft).

Of IPv6 addresses a port has the assigned one and the link-local one that follows from its MAC.
Without an assigned one it has none.

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

from minirt.kernel import netlink, nft_messages, nftables
from minirt.kernel.nft_elements import Element, add, create, ip_key, mac_key, name_key, raw_key
from minirt.kernel.steps import announce
from minirt.network import choice, leases, store
from minirt.network.block import Address, Interface, interface
from minirt.network.identity import host_end, link_local, mac_of
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
    """Reserve what no container of the network may have, so that no trusted port takes it."""
    with suppress(FileNotFoundError):
        changes = [add(one) for one in _reserved(network)]
        nft_messages.run(changes, "reserve the addresses of the gateway and of others")


def forget(network: Network) -> None:
    """Forget what was reserved, and the ports that a network had, by their addresses."""
    try:
        listed = nftables.ask(f"list map {TABLE} ports")
    except FileNotFoundError:
        return
    # Added before it is deleted, an element may be missing.
    reserved = [one.words for one in _reserved(network)]
    commands = [f"{verb} element {words}" for verb in ("add", "delete") for words in reserved]
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


def _reserved(network: Network) -> list[Element]:
    """Return the elements that reserve what no container of a network may have.

    That is the gateway's address, and what ``--aux-address`` keeps for others. On a bridge that
    existed before, the host may have further addresses, and routers, which are the LAN's.
    """
    addresses = {address for block in network.blocks for address in block.reserved()}
    if network.adopted:
        with netlink.connect() as links:
            bridge = links.find(network.bridge)
            if bridge is not None:
                addresses |= {one.ip for one in links.addresses(bridge)}
                routers = {one.gateway for one in links.routes() if one.link == bridge.index}
                addresses |= {ip_address(one) for one in routers if one}
    elif network.subnet6 is not None:
        addresses.add(link_local(mac_of(network.gateway4)))
    return [_taken(one) for one in sorted(addresses, key=str)]


def _taken(address: Address) -> Element:
    """Return the element that reserves an address for its holder."""
    if address.version == 6:
        return Element(TABLE, "taken6", (raw_key(address.packed),))
    return Element(TABLE, "taken", (ip_key(address),))


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
    mac, *others = identity.split()
    link, own = name_key(port), mac_key(mac)
    found = [Element(TABLE, "macs", (link, raw_key(own.data)))]
    addresses = [ip_address(one) for one in others]
    if any(one.version == 6 for one in addresses):
        addresses.append(link_local(mac))
    for address in addresses:
        if address.version == 6:
            found.append(Element(TABLE, "addresses6", (link, raw_key(address.packed))))
        else:
            found.append(Element(TABLE, "addresses", (link, own, ip_key(address))))
        found.append(_taken(address))
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
