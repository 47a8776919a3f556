"""The far ends of veth pairs: looked for in every network namespace that a process lives in.

A link says the index of its other end, not the namespace. So each namespace is entered and
asked for the link of that index which names ours as *its* other end.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from minirt.kernel import namespaces
from minirt.kernel.netlink import survey
from minirt.kernel.netlink.survey import Device

# Whoever has CAP_NET_ADMIN in a namespace may make any number of links and addresses there.
MOST = 500  # links of a namespace that are looked at, and addresses
MOST_IN_ALL = 20_000  # links and addresses of all namespaces together
MOST_ROOMS = 2000  # namespaces


@dataclass(frozen=True, slots=True)
class Room:
    """A network namespace, with a process in it, and what links there are inside."""

    inode: int
    pid: int
    command: str
    devices: tuple[Device, ...]
    gateway: str = ""  # where its default route leads
    is_cut: bool = False  # there may be more links and addresses than these


def rooms(first: Iterable[int] = ()) -> list[Room]:
    """Return every network namespace but our own: those of the processes ``first``, then others.

    Of very many, or very full ones, only as much as the limits above allow.
    """
    own = _inode("self")
    found: dict[int, Room] = {}
    left = MOST_IN_ALL
    for pid in (*first, *_pids()):
        inode = _inode(pid)
        if inode not in (None, own) and inode not in found:
            room = _look(pid, inode, min(MOST, left))
            if room is not None:
                found[room.inode] = room
                left -= sum(1 + len(device.addresses) for device in room.devices)
        if left <= 0 or len(found) >= MOST_ROOMS:
            break
    return list(found.values())


def room_of(pid: int) -> Room | None:
    """Return the namespace that a process is in; None if it has gone."""
    return _look(pid, _inode(pid))


def far_end(wire: Device, among: Iterable[Room]) -> tuple[Room, Device] | None:
    """Return the other end of a veth, and the namespace where it was found."""
    for room in among:
        for device in room.devices:
            if device.kind == "veth" and (device.index, device.peer) == (wire.peer, wire.index):
                return room, device
    return None


def is_cut(devices: Collection[Device], most: int = MOST) -> bool:
    """Say whether there may be more links or addresses than those that were looked at."""
    return max(len(devices), sum(len(one.addresses) for one in devices)) >= most


def _look(pid: int | str, inode: int | None, most: int = MOST) -> Room | None:
    with suppress(OSError):
        with namespaces.network_of(int(pid)) as netns, survey.look(netns) as there:
            devices = tuple(there.devices(most))
            gateway = next((one.gateway for one in there.default_routes(most=1)), "")
        command = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace")
        if inode is not None:
            cut = is_cut(devices, most)
            return Room(inode, int(pid), command.strip(), devices, gateway, cut)
    return None  # It has ended meanwhile.


def _pids() -> Iterator[int]:
    return (int(name) for name in sorted(os.listdir("/proc")) if name.isdigit())  # noqa: PTH208


def _inode(pid: int | str) -> int | None:
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino  # noqa: PTH116 - a magic link
    except OSError:
        return None
