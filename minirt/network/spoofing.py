"""A port of a bridge may only say who it is: its MAC and addresses (spoofing.nft).

The elements of a port stay when its interface goes, with the namespace at its other end: they
let nobody through who isn't there. The next port of that name, which has the same address,
replaces them, so there are never more than the network ever had containers at once; those
that are left go with the network. What belongs to a port is written in its element's comment.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

from minirt.kernel import nftables
from minirt.kernel.steps import announce
from minirt.network import leases, store
from minirt.network.block import Address, Interface
from minirt.network.mac import mac_of
from minirt.network.spec import Network

RULES = Path(__file__).with_name("spoofing.nft")
TABLE = "bridge minirt"

_ABSENT = {errno.EOPNOTSUPP, errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT}
_PORT = re.compile(r'"(\S+)" comment "([^"]+)" : jump')  # of "get" and of "list"


def restore() -> None:
    """Make the table, or replace its rules, with the ports of who lives."""
    try:
        nftables.replace(TABLE, RULES)
    except OSError as error:
        if error.errno not in _ABSENT:
            raise
        announce("note: this kernel filters no bridges, so containers can forge addresses")
        return
    for network in store.every():
        admit(network)
        for port, mac, addresses, trusted in _living(network):
            bind(port, mac, addresses, trusted=trusted)


def bind(
    port: str, mac: str, addresses: Iterable[Address | Interface], *, trusted: bool = False
) -> None:
    """Let a port use its MAC and addresses, and no other; it needs not be there yet.

    One that is ``trusted`` (CAP_NET_ADMIN) may have further addresses, but none of others'.
    """
    identity = [mac, *(str(one).partition("/")[0] for one in addresses)]
    chain = "trusted" if trusted else "strict"
    entry = f'ports {{ {port} comment "{" ".join(identity)}" : jump {chain} }}'
    commands = [f"create element {TABLE} {entry}", *_each("add", port, identity)]
    try:
        _run(commands)
    except FileExistsError:
        _run([*_forgetting(port), *commands])
    except FileNotFoundError:
        restore()
        with suppress(FileNotFoundError, FileExistsError):  # no such kernel; restored
            _run(commands)


def release(port: str) -> None:
    """Forget a port, if it is known."""
    with suppress(FileNotFoundError):
        nftables.run("; ".join(_forgetting(port)), "forget the port of the bridge")


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


def _run(commands: list[str]) -> None:
    nftables.run("; ".join(commands), "tie the port to its addresses")


def _gateway(network: Network) -> str:
    return f"{TABLE} taken {{ {network.gateway4} }}"


def _forgetting(port: str, identity: str = "") -> list[str]:
    """Return the commands that remove what is known of a port. Raises FileNotFoundError."""
    if not identity:
        found = _PORT.search(nftables.ask(f"get element {TABLE} ports {{ {port} }}"))
        identity = found[2] if found else ""
    known = identity.split()
    # Added before it is deleted, an element may be missing.
    elements = [*_each("add", port, known), *_each("delete", port, known)]
    return [f"delete element {TABLE} ports {{ {port} }}", *elements]


def _each(verb: str, port: str, identity: list[str]) -> list[str]:
    """Return the commands for all elements of a port but that in the map of ports."""
    mac, *addresses = identity
    found = [f"macs {{ {port} . {mac} }}"]
    for address in addresses:
        if ":" in address:
            found.append(f"addresses6 {{ {port} . {address} }}")
        else:
            found += [f"addresses {{ {port} . {address} }}", f"taken {{ {address} }}"]
    return [f"{verb} element {TABLE} {one}" for one in found]


def _living(network: Network) -> Iterable[tuple[str, str, list[Address], bool]]:
    """Yield for each living endpoint its port, MAC, addresses, and whether it is trusted."""
    from minirt.network.endpoint import host_end

    found: dict[int, list[Address]] = {}
    living = leases.living(network)
    for address, facts in living.items():
        found.setdefault(facts.pid, []).append(address)
    for addresses in found.values():
        addresses.sort(key=lambda one: one.version)
        facts = living[addresses[0]]
        mac = facts.mac or mac_of(addresses[0])
        yield host_end(addresses[0]), mac, addresses, facts.trusted
