"""Which ports lead where: elements of the packet filter's maps (rules.nft).

A port's element may outlive its owner, who may have been killed. So an element is replaced
by whoever publishes the same port anew (its socket proves that nobody else has it), and removed
only if it still leads where the remover says. Nobody looks first, as that could change meanwhile: a
transaction fails as a whole that adds a key which leads elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import IPv4Interface, IPv6Interface, ip_address
from socket import AF_INET, AF_INET6

from minirt.kernel import conntrack, locks, nft_messages
from minirt.kernel.nft_elements import Element, add, delete, ip_key, port_key, protocol_key
from minirt.kernel.nft_messages import Change
from minirt.network.block import Address as Target
from minirt.network.block import Interface
from minirt.network.port_binding import ANY, Binding
from minirt.state import made, run_dir

TABLE = "inet minirt"


def publish(bindings: Iterable[Binding], *addresses: Target | Interface) -> None:
    """Lead ports of the host to a container, all in one transaction.

    A port leads to the container's address of its own family; without one it is passed over.
    """
    wanted = _elements(bindings, addresses)
    if not wanted:
        return
    with _changing():
        if not _run([add(one) for one in wanted]):
            for one in wanted:
                if not _run([add(one)]):
                    _run([delete(one), add(one)])
    _forget_flows(wanted)


def unpublish(bindings: Iterable[Binding], *addresses: Target | Interface) -> None:
    """Lead the ports nowhere, unless by now they lead to somebody else."""
    wanted = _elements(bindings, addresses)
    if not wanted:
        return
    with _changing():
        if not _close(wanted):
            wanted = [one for one in wanted if _close([one])]
    _forget_flows(wanted)


def _elements(
    bindings: Iterable[Binding], addresses: Iterable[Target | Interface]
) -> list[Element]:
    """Return for each port the element that belongs into a map."""
    targets = {one.version: _ip(one) for one in addresses}
    found = []
    for one in bindings:
        version = 6 if one.is_v6 else 4
        if version not in targets or one.host_ip == "::1":  # no rule leads ::1 elsewhere
            continue
        key = protocol_key(one.protocol), port_key(one.host_port)
        target = ip_key(targets[version]), port_key(one.container_port)
        if one.host_ip in ANY:
            found.append(Element(TABLE, f"pub{version}_any", key, value=target))
        else:
            host = ip_key(ip_address(one.host_ip))
            found.append(Element(TABLE, f"pub{version}_addr", (host, *key), value=target))
    return found


def _forget_flows(elements: Iterable[Element]) -> None:
    """Let UDP clients that send without pause find the new way (Docker's issue 8795)."""
    ports: dict[int, set[int]] = {AF_INET: set(), AF_INET6: set()}
    for one in elements:
        *_, protocol, port = (field.words for field in one.key)
        if protocol == "udp":
            ports[AF_INET6 if one.set.startswith("pub6") else AF_INET].add(int(port))
    for family, changed in ports.items():
        conntrack.forget_udp(changed, family)


def _close(elements: list[Element]) -> bool:
    """Remove elements; False: one of them leads elsewhere, and nothing has changed.

    To add what is there already changes nothing, and what leads elsewhere can't be added.
    """
    changes = [change(one) for change in (add, delete) for one in elements]
    with suppress(FileNotFoundError):  # somebody has flushed the tables: nothing leads anywhere
        return _run(changes, "close the published ports")
    return True


def _run(changes: list[Change], title: str = "publish the ports") -> bool:
    """Make a transaction; False: a key leads elsewhere, and nothing has changed."""
    try:
        nft_messages.run(changes, title)
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
