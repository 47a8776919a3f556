"""Which ports lead where: elements of the packet filter's maps (rules.nft).

A port's element may outlive its owner, who may have been killed. So an element is replaced
by whoever publishes the same port anew (its socket proves that nobody else has it), and removed
only if it still leads where the remover says. Nobody looks first: to find one element, libnftables
reads all of them. Instead, a transaction fails as a whole that adds a key which leads elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import IPv4Interface, IPv6Interface
from socket import AF_INET, AF_INET6

from minirt.kernel import conntrack, locks, nftables
from minirt.network.block import Address as Target
from minirt.network.block import Interface
from minirt.network.port_binding import ANY, Binding
from minirt.state import made, run_dir

TABLE = "inet minirt"
Place = tuple[str, str]  # a map, and a key in it


def publish(bindings: Iterable[Binding], *addresses: Target | Interface) -> None:
    """Lead ports of the host to a container, all in one transaction.

    A port leads to the container's address of its own family; without one it is passed over.
    """
    wanted = _elements(bindings, addresses)
    if not wanted:
        return
    with _changing():
        if not _run(_add(wanted)):
            for place, target in wanted.items():
                if not _run(_add({place: target})):
                    _run(f"{_delete([place])}; {_add({place: target})}")
    _forget_flows(wanted)


def unpublish(bindings: Iterable[Binding], *addresses: Target | Interface) -> None:
    """Lead the ports nowhere, unless by now they lead to somebody else."""
    wanted = _elements(bindings, addresses)
    if not wanted:
        return
    with _changing():
        if not _close(wanted):
            wanted = {place: target for place, target in wanted.items() if _close({place: target})}
    _forget_flows(wanted)


def _elements(
    bindings: Iterable[Binding], addresses: Iterable[Target | Interface]
) -> dict[Place, str]:
    """Return for each map and key the target that belongs there."""
    targets = {one.version: _ip(one) for one in addresses}
    found = {}
    for one in bindings:
        version = 6 if one.is_v6 else 4
        if version not in targets or one.host_ip == "::1":  # no rule leads ::1 elsewhere
            continue
        key = f"{one.protocol} . {one.host_port}"
        if one.host_ip in ANY:
            place = f"pub{version}_any", key
        else:
            place = f"pub{version}_addr", f"{one.host_ip} . {key}"
        found[place] = f"{targets[version]} . {one.container_port}"
    return found


def _add(wanted: dict[Place, str]) -> str:
    lines = [
        f"add element {TABLE} {name} {{ {key} : {target} }}"
        for (name, key), target in wanted.items()
    ]
    return "; ".join(lines)


def _delete(places: Iterable[Place]) -> str:
    return "; ".join(f"delete element {TABLE} {name} {{ {key} }}" for name, key in places)


def _forget_flows(places: Iterable[Place]) -> None:
    """Let UDP clients that send without pause find the new way (Docker's issue 8795)."""
    ports: dict[int, set[int]] = {AF_INET: set(), AF_INET6: set()}
    for name, key in places:
        *_, protocol, port = key.split(" . ")
        if protocol == "udp":
            ports[AF_INET6 if name.startswith("pub6") else AF_INET].add(int(port))
    for family, changed in ports.items():
        conntrack.forget_udp(changed, family)


def _close(elements: dict[Place, str]) -> bool:
    """Remove elements; False: one of them leads elsewhere, and nothing has changed.

    To add what is there already changes nothing, and what leads elsewhere can't be added.
    """
    with suppress(FileNotFoundError):  # somebody has flushed the tables: nothing leads anywhere
        return _run(f"{_add(elements)}; {_delete(elements)}", "close the published ports")
    return True


def _run(commands: str, title: str = "publish the ports") -> bool:
    """Run a transaction; False: a key leads elsewhere, and nothing has changed."""
    try:
        nftables.run(commands, title)
    except FileExistsError:
        return False
    return True


@contextmanager
def _changing() -> Iterator[None]:
    """Let nobody else change ports during the body, which may take two transactions."""
    fd = locks.acquire(made(run_dir() / "networks") / ".ports", wait=True)
    try:
        yield
    finally:
        os.close(fd)


def _ip(address: Target | Interface) -> Target:
    return address.ip if isinstance(address, IPv4Interface | IPv6Interface) else address
