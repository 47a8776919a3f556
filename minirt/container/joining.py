"""Whose network namespace a container has: its own, the host's, or another container's.

Who joins another one uses its addresses for as long as it lives itself. So its monitor holds
the leases too, and when the other one ends first, it takes its place: its names and ports go, and
the address stays taken. Leases that the other one gets after the joining are its own.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from minirt.container import alive, lifecycle, protocol, record
from minirt.container.record import Record
from minirt.errors import Conflict
from minirt.kernel import locks
from minirt.network import facts

_LONGEST = 1 << 16  # bytes of a lease file


@dataclass(frozen=True, slots=True)
class Joined:
    """What a monitor holds of the container whose network its own shares."""

    line: int  # a connection to its monitor: it closes when that ends
    leases: list[tuple[Path, int]] = field(default_factory=list)
    names: tuple[int, ...] = ()  # the sockets at 127.0.0.11
    introduction: dict[str, Any] = field(default_factory=dict)  # for their resolver

    def descriptors(self) -> set[int]:
        """Return all descriptors."""
        return {self.line, *(fd for _, fd in self.leases), *self.names}


def has_own_network(one: Record) -> bool:
    """Say whether its network namespace is neither the host's nor another container's."""
    return one.host.network_mode != "host" and host_of(one) is None


def host_of(one: Record) -> Path | None:
    """Return the folder of the container whose network, and files in /etc, this one shares."""
    kind, colon, target = one.host.network_mode.partition(":")
    return record.directory(target) if colon and kind == "container" else None


def join(one: Record) -> Joined | None:
    """Ask the monitor of the container that this one joins for what it holds; None: it doesn't.

    Raises NotFound, Conflict.
    """
    if host_of(one) is None:
        return None
    target = lifecycle.find_running(one.host.network_mode.partition(":")[2])
    try:
        line = protocol.connect(record.run_directory(target.id))
        protocol.tell(line, {"do": "share", "container": one.id})
        answer, fds = protocol.hear_json(line)
    except (OSError, EOFError):
        raise _starting(target) from None
    paths = list(map(Path, answer["leases"]))
    return Joined(
        line.detach(),
        list(zip(paths, fds, strict=False)),
        tuple(fds[len(paths) :]),
        answer["introduction"],
    )


def _starting(target: Record) -> Conflict:
    return Conflict(f"Cannot join the network of {target.name}", "it is just starting or ending")


def hand_on(leases: list[tuple[Path, int]], heirs: list[str]) -> bool:
    """Leave the leases of a container that ends to those who joined it; False: none lives."""
    if not any(alive.is_held(heir) for heir in heirs):
        return False
    for _, fd in leases:
        said = facts.parse(os.pread(fd, _LONGEST, 0))
        if said is not None:
            facts.write_to(fd, replace(said, names=[], ports=[]))
    return True


def take_over(joined: Joined, container_id: str) -> None:
    """Be the holder of its leases, now that the container that was has ended, or was killed."""
    state = alive.state(container_id)
    name = record.load(container_id).name
    for path, fd in joined.leases:
        said = facts.parse(os.pread(fd, _LONGEST, 0))
        if said is None or os.fstat(fd).st_nlink == 0:  # It was disconnected from that network.
            continue
        if said.ports:
            _unpublish(said.ports, path.name)
        own = replace(said, container=container_id, name=name, names=[], ports=[])
        facts.write_to(fd, replace(own, pid=state["pid"], born=state["born"]))


def free(joined: Joined) -> list[Path]:
    """Remove the leases' files, whose descriptors are closed, unless others hold them.

    Return those that were removed.
    """
    removed = []
    for path, _ in joined.leases:
        with suppress(OSError):
            locks.release(path, locks.acquire(path))
            removed.append(path)
    return removed


def _unpublish(documents: list[dict[str, Any]], address: str) -> None:
    """Close the ports that were the other one's."""
    from minirt.network import nat, port_binding

    with suppress(OSError):  # Who publishes them anew takes them all the same.
        nat.unpublish([port_binding.from_json(one) for one in documents], ip_address(address))
