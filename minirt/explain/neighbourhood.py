"""The far ends of veth pairs: looked for in every network namespace that a process lives in.

A link says the index of its other end, not the namespace. So each namespace is entered and
asked for the link of that index which names ours as *its* other end.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from minirt.kernel import namespaces
from minirt.kernel.netlink import survey
from minirt.kernel.netlink.survey import Device


@dataclass(frozen=True, slots=True)
class Room:
    """A network namespace, with a process in it, and what links there are inside."""

    inode: int
    pid: int
    command: str
    devices: tuple[Device, ...]
    gateway: str = ""  # where its default route leads


def rooms(first: Iterable[int] = ()) -> list[Room]:
    """Return every network namespace but our own: those of the processes ``first``, then others."""
    own = _inode("self")
    found: dict[int, Room] = {}
    for pid in (*first, *_pids()):
        inode = _inode(pid)
        if inode not in (None, own) and inode not in found:
            room = _look(pid, inode)
            if room is not None:
                found[room.inode] = room
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


def _look(pid: int | str, inode: int | None) -> Room | None:
    with suppress(OSError):
        with namespaces.network_of(int(pid)) as netns, survey.look(netns) as there:
            devices = tuple(there.devices())
            gateway = next((one.gateway for one in there.routes() if one.to.prefixlen == 0), "")
        command = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace")
        if inode is not None:
            return Room(inode, int(pid), command.strip(), devices, gateway)
    return None  # It has ended meanwhile.


def _pids() -> Iterator[int]:
    return (int(name) for name in sorted(os.listdir("/proc")) if name.isdigit())  # noqa: PTH208


def _inode(pid: int | str) -> int | None:
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino  # noqa: PTH116 - a magic link
    except OSError:
        return None
