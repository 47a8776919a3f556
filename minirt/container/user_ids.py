"""Ids of a container's own: ``--userns private`` (user_namespaces(7)).

Its ids 0 to 65535 are others on the host, in a range that no other container that lives has:
root inside is nobody outside, and nobody in its neighbours either. A range is held as an address
is, by a lock that falls with the monitor. It need not be the same the next time: what is on
disk, in the container's layer and its volumes, keeps the ids of the inside, and is shown with
those of the range (``runtime.mount_sources``).
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minirt.container.record import Record
from minirt.errors import Exhausted
from minirt.kernel import locks
from minirt.state import made, run_dir

COUNT = 1 << 16  # ids of one container: all that images use
# Above what systemd-nspawn takes and what our resolvers are (network.resolver_user), below what
# systemd calls foreign; from 2^31 on some programs read a negative number (UIDS-GIDS.md).
FIRST, BEYOND = 0x7001_0000, 0x7FFE_0000
_OWNER = "minirt"  # the name in /etc/subuid whose range is taken instead
_PING = "net.ipv4.ping_group_range"


@dataclass(frozen=True, slots=True)
class Range:
    """The ids that a container's are outside; ``lock`` is the file that says so, and its lock."""

    first: int
    count: int
    lock: tuple[Path, int] | None = None


def take(one: Record, held: ExitStack) -> Range | None:
    """Take a range for a container, None if it has the host's ids; ``held`` gives it back.

    Raises Exhausted.
    """
    mode = one.host.userns_mode
    if not mode:
        return None
    if mode != "private":
        words = mode.partition(":")
        return Range(int(words[0]), int(words[2]))
    folder = made(run_dir() / "ids")
    start, beyond = pool()
    for first in range(start, beyond - COUNT + 1, COUNT):
        path = folder / str(first)
        try:
            lock = locks.acquire(path)
        except BlockingIOError:
            continue
        held.callback(locks.release, path, lock)
        return Range(first, COUNT, (path, lock))
    why = f"all ranges of {COUNT} ids from {start} to {beyond - 1} are taken"
    remedy = f"Give {_OWNER} more in /etc/subuid and /etc/subgid."
    raise Exhausted("There are no ids left for the container", why, remedy)


def pool() -> tuple[int, int]:
    """Return the first id that may be taken, and the first one beyond.

    What subuid(5) and subgid(5) give to minirt, where both give the same; else a range that
    nobody else is known to use.
    """
    users, groups = _delegated(Path("/etc/subuid")), _delegated(Path("/etc/subgid"))
    return users if users is not None and users == groups else (FIRST, BEYOND)


def _delegated(file: Path) -> tuple[int, int] | None:
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, numbers = line.strip().partition(":")
        first, _, count = numbers.partition(":")
        if name == _OWNER and first.isdigit() and count.isdigit():
            return int(first), int(first) + int(count)
    return None


def apply(document: dict[str, Any], one: Record, ids: Range | None) -> None:
    """Add a user namespace with these ids to a config.json."""
    if ids is None:
        return
    linux = document["linux"]
    linux["namespaces"].append({"type": "user"})
    mapping = {"containerID": 0, "hostID": ids.first, "size": ids.count}
    linux |= {"uidMappings": [mapping], "gidMappings": [mapping]}
    if _PING in linux["sysctl"] and _PING not in one.host.sysctls:
        linux["sysctl"][_PING] = f"0 {ids.count - 1}"  # More groups are not known there.
    own = {mount.destination for mount in one.mounts}
    for mount in document["mounts"]:
        place = mount["destination"]
        if mount["type"] == "bind" and (place in own or place.startswith("/etc/")):
            mount["options"].append("idmap")
