"""The names of one network: what its leases say, and nothing else.

The leases directory is the zone. A file ADDRESS whose lock is held by a living process
stands for that process's names; a free lock means that the address and its names are gone.
There is no second table that could disagree.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

from minirt.kernel import locks
from minirt.network.question import wire_name

Address = IPv4Address | IPv6Address

_LONGEST_LEASE = 1 << 16  # bytes; a lease has a few hundred


@dataclass(frozen=True, slots=True)
class Member:
    """One address and what it is called."""

    address: Address
    own: bytes  # the name that a reverse lookup gives
    names: tuple[bytes, ...]


@dataclass(slots=True)
class Zone:
    """The members of one network, and two indexes of them. All names are in wire form."""

    name: str
    directory: Path
    suffix: bytes = b""
    members: dict[str, Member] = field(default_factory=dict)  # by the name of the lease
    addresses: dict[bytes, list[Address]] = field(default_factory=dict)
    reverse: dict[bytes, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.suffix = wire_name(self.name) or b""

    def look_at(self, leases: set[str]) -> bool:
        """Read these leases again; say whether anything is different now."""
        changed = False
        for lease in leases:
            member = read_lease(self.directory / lease)
            if member == self.members.get(lease):
                continue
            changed = True
            if member is None:
                del self.members[lease]
            else:
                self.members[lease] = member
        if changed:
            self._index()
        return changed

    def look_at_all(self) -> bool:
        """Read the whole directory again; say whether anything is different now."""
        try:
            leases = set(os.listdir(self.directory))  # noqa: PTH208
        except FileNotFoundError:
            leases = set()
        return self.look_at(leases | self.members.keys())

    def _index(self) -> None:
        self.addresses, self.reverse = {}, {}
        # Sorted: the order of events must not show in answers.
        for _, member in sorted(self.members.items()):
            for name in member.names:
                self.addresses.setdefault(name, []).append(member.address)
            pointer = wire_name(member.address.reverse_pointer)
            if pointer is not None:
                self.reverse[pointer] = member.own + self.suffix


def read_lease(path: Path) -> Member | None:
    """Return what a lease says; None if nobody living holds it, or it isn't written yet."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        if not locks.descriptor_is_held(fd):
            return None
        return _member(path.name, json.loads(os.read(fd, _LONGEST_LEASE)))
    except (ValueError, KeyError, TypeError, OSError):
        return None  # Empty or cut: its holder is writing, and inotify will say when it has.
    finally:
        os.close(fd)


def _member(lease: str, facts: dict[str, Any]) -> Member | None:
    own = wire_name(str(facts["name"]))
    if own is None:
        return None
    names = {wire_name(str(name)) for name in [facts["name"], *facts["names"]]}
    return Member(ip_address(lease), own, tuple(sorted(name for name in names if name)))


def find_addresses(zones: Sequence[Zone], name: bytes) -> list[Address] | None:
    """Return what ``name`` stands for in the first of the networks that knows it.

    Every split into NAME and NETWORK is tried too, after the name as a whole: a network's
    suffix is compared as it stands in the packet, so it can only match at a dot. An empty
    list is never returned: None means that the name is not ours.
    """
    for zone in zones:
        if name in zone.addresses:
            return zone.addresses[name]
    for zone in zones:
        if zone.suffix and name.endswith(zone.suffix):
            found = zone.addresses.get(name[: -len(zone.suffix)])
            if found:
                return found
    return None


def find_pointer(zones: Sequence[Zone], name: bytes) -> bytes | None:
    """Return the NAME.NETWORK that a reverse name (RFC 1035, section 3.5) stands for."""
    for zone in zones:
        if name in zone.reverse:
            return zone.reverse[name]
    return None
