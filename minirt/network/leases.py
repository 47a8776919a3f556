"""Who has which address.

A lease is the file RUN/networks/NETWORK/leases/ADDRESS, locked by the process that uses the
address. There is no allocator to run and no lease to time out: an address is free when its
file can be locked, and the kernel unlocks it when its holder dies. The file says who holds
it, and under which names: the directory is the network's DNS zone as well.

A reader may find a file empty: its holder is about to write.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

from minirt.errors import Conflict, Exhausted, InvalidRequest, NotFound
from minirt.kernel import locks, processes
from minirt.network import store
from minirt.network.facts import Facts, parse, read, rewrite, write_to
from minirt.network.spec import Network
from minirt.state import made

__all__ = [
    "Facts",
    "Lease",
    "directory",
    "in_use",
    "living",
    "read",
    "release",
    "rewrite",
    "sweep",
    "take",
    "write",
]

FEW = 64  # leases; so many are tried one by one as fast as looked for in /proc/locks
_TRIES, _PAUSE = 5, 0.002  # seconds; so often, and so long apart, a wanted address is tried
DYING = 5.0  # seconds; init follows its monitor within 2 ms, unless the machine is very busy


@dataclass(frozen=True, slots=True)
class Lease:
    """An address, held for as long as ``fd`` stays open in some process."""

    network: Network
    address: IPv4Interface
    path: Path
    fd: int


def directory(network: Network) -> Path:
    """Return the directory of the network's lease files."""
    return store.run_directory(network.name) / "leases"


def take(network: Network, *, wanted: str = "", last: str = "") -> Lease:
    """Lease an address: the ``wanted`` one, else the ``last`` one if free, else the lowest free.

    Whoever dies with it frees it. Its former holder, if killed, is dead for certain before
    this returns, and nothing of it leads to the address any more. Raises InvalidRequest,
    Conflict (who has it), Exhausted, NotFound (the network was removed meanwhile).
    """
    folder = made(directory(network))
    lease = _take_wanted(network, folder, wanted) if wanted else _take_any(network, folder, last)
    if not store.is_there(network):  # "network rm" removes the spec, then looks for leases
        release(lease)
        raise NotFound(f"network {network.name} not found", "it was removed just now")
    return lease


def release(lease: Lease) -> None:
    """Give the address back."""
    locks.release(lease.path, lease.fd)


def write(lease: Lease, facts: Facts) -> None:
    """Say who holds the address."""
    write_to(lease.fd, facts)


def living(network: Network) -> dict[IPv4Address, Facts]:
    """Return the holders of the network's addresses: asked of the locks, so the truth."""
    found = {}
    for path in _files(directory(network)):
        facts = read(path)
        if facts is not None and locks.is_held(path):
            found[IPv4Address(path.name)] = facts
    return dict(sorted(found.items()))


def in_use(network: Network) -> bool:
    """Say whether anybody holds an address, even one who has not written yet who."""
    return any(locks.is_held(path) for path in _files(directory(network)))


def sweep() -> None:
    """Free what killed processes had leased, in all networks, and close its published ports.

    Nobody needs that for an address: whoever takes it does the same. But until then the host's
    own connections to such a port lead nowhere, even to a server that listens there by now.
    """
    for network in store.every():
        folder = directory(network)
        files = _files(folder)
        living = _living_at_a_glance(folder) if files else set()
        for path in files:
            address = IPv4Address(path.name)
            if address not in living and _is_left(path):
                lease = _try(network, folder, address)
                if lease is not None:
                    release(lease)


def _is_left(path: Path) -> bool:
    try:
        return path.stat().st_size > 0 and not locks.is_held(path)
    except FileNotFoundError:
        return False


def _take_wanted(network: Network, folder: Path, wanted: str) -> Lease:
    address = _checked(network, wanted)
    for _ in range(_TRIES):
        lease = _try(network, folder, address)
        if lease is not None:
            return lease
        time.sleep(_PAUSE)  # Perhaps somebody only sweeps.
    facts = read(folder / str(address))
    holder = f"container {facts.name or facts.container[:12]} has it" if facts else ""
    raise Conflict(f"Address already in use: {wanted}", holder, "Choose another --ip.")


def _take_any(network: Network, folder: Path, last: str) -> Lease:
    reserved = network.reserved().keys()
    for living in (_living_at_a_glance(folder), set()):
        for address in _candidates(network, last):
            if address not in reserved and address not in living:
                lease = _try(network, folder, address)
                if lease is not None:
                    return lease
    raise Exhausted(
        f"no available IPv4 addresses on this network's address pools: {network.name}",
        f"all addresses of {network.range4 or network.subnet4} are in use",
        "Stop a container, or make a network with a larger subnet.",
    )


def _living_at_a_glance(folder: Path) -> set[IPv4Address]:
    """Return addresses that need not be tried: with a thousand living, that takes 10 ms."""
    with os.scandir(folder) as entries:
        inodes = {entry.inode(): entry.name for entry in entries}
    if len(inodes) <= FEW:
        return set()
    return {IPv4Address(inodes[one]) for one in locks.locked_inodes() & inodes.keys()}


def _candidates(network: Network, last: str) -> Iterator[IPv4Address]:
    pool = network.range4 or network.subnet4
    address = IPv4Address(last.partition("/")[0]) if last else None
    if address is not None and address in network.subnet4:
        yield address
    yield from pool


def _try(network: Network, folder: Path, address: IPv4Address) -> Lease | None:
    """Lock the file of an address, and bury its former holder; None: somebody lives there."""
    path = folder / str(address)
    try:
        fd = locks.acquire(path)
    except BlockingIOError:
        return None
    try:
        if not _bury(os.pread(fd, 1 << 16, 0), address):
            os.close(fd)
            return None
        os.ftruncate(fd, 0)
    except BaseException:
        os.close(fd)
        raise
    return Lease(network, network.interface(address), path, fd)


def _bury(text: bytes, address: IPv4Address) -> bool:
    """Wait until who held the address is dead, and close its ports; False: it won't die."""
    facts = parse(text)
    if facts is None:
        return True
    if facts.pid:
        try:
            pidfd = processes.open_pidfd(facts.pid, facts.born)
        except ProcessLookupError:
            pass
        else:
            try:
                if not processes.wait_until_dead(pidfd, DYING):
                    return False
            finally:
                os.close(pidfd)
    if facts.ports:
        from minirt.network import nat, ports

        nat.unpublish([ports.from_json(one) for one in facts.ports], address)
    return True


def _checked(network: Network, wanted: str) -> IPv4Address:
    """Return the address that was asked for. Raises InvalidRequest."""
    settings = f"invalid endpoint settings for network {network.name}"
    if not network.chosen:
        why = (
            "user specified IP address is supported only when connecting to networks with user"
            " configured subnets"
        )
        raise InvalidRequest(settings, why, "Make the network with --subnet.")
    try:
        address = IPv4Address(wanted)
    except ValueError:
        raise InvalidRequest(settings, f"invalid IPv4 address: {wanted}") from None
    if address not in network.subnet4:
        why = f"no configured subnet or ip-range contain the IP address {wanted}"
        raise InvalidRequest(settings, why, f"The subnet is {network.subnet4}.")
    what = network.reserved().get(address)
    if what:
        raise InvalidRequest(f"Address already in use: {wanted}", f"it is {what}")
    return address


def _files(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []
