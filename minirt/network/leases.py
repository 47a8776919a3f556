"""Who has which address.

A lease is the file RUN/networks/NETWORK/leases/ADDRESS, locked by the process that uses the
address. There is no allocator to run and no lease to time out: an address is free when its
file can be locked, and the kernel unlocks it when its holder dies. The file says who holds
it, and under which names: the directory is the network's DNS zone as well. A container on a
network with IPv6 has a lease in each family.

A reader may find a file empty: its holder is about to write.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from minirt.errors import Conflict, Exhausted, NotFound
from minirt.kernel import locks, processes
from minirt.network import choice, lease_folder, nat, port_binding, store
from minirt.network.block import Address, Block, Interface, interface
from minirt.network.facts import Facts, parse, read, rewrite, write_to
from minirt.network.spec import Network
from minirt.state import names_in

__all__ = [
    "Facts",
    "Lease",
    "directory",
    "has_dead",
    "in_use",
    "living",
    "read",
    "release",
    "rewrite",
    "sweep",
    "take",
    "take6",
    "write",
]

_TRIES, _PAUSE = 5, 0.002  # seconds; so often, and so long apart, a wanted address is tried
DYING = 5.0  # seconds; init follows its monitor within 2 ms, unless the machine is very busy


@dataclass(frozen=True, slots=True)
class Lease:
    """An address, held for as long as ``fd`` stays open in some process."""

    network: Network
    address: Interface
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
    return _take(network, network.block4, wanted, [last])


def take6(
    network: Network, *, wanted: str = "", last: str = "", beside: Address | None = None
) -> Lease | None:
    """Lease an IPv6 address likewise; None: the network has no IPv6.

    Rather than the lowest it is that of the same place in its subnet as the IPv4 address
    ``beside`` it: 10.0.0.5 goes with fd00::5. People see what belongs together, no search is
    needed, and as the MAC address follows from the same IPv4 address, no neighbour remembers
    another one.
    """
    block = network.block6
    if block is None:
        choice.refuse(network.name, wanted)
        return None
    return _take(network, block, wanted, [last, choice.twin(network.block4, block, beside)])


def _take(network: Network, block: Block, wanted: str, liked: list[str]) -> Lease:
    folder = lease_folder.made(directory(network))
    if wanted:
        lease = _take_wanted(network, block, folder, wanted)
    else:
        lease = _take_any(network, block, folder, liked)
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


def living(network: Network) -> dict[Address, Facts]:
    """Return the holders of the network's addresses: asked of the locks, so the truth."""
    found = {}
    for path in _files(directory(network)):
        facts = read(path)
        if facts is not None and locks.is_held(path):
            found[ip_address(path.name)] = facts
    return dict(sorted(found.items(), key=lambda one: (one[0].version, int(one[0]))))


def in_use(network: Network) -> bool:
    """Say whether anybody holds an address, even one who has not written yet who."""
    return any(locks.is_held(path) for path in _files(directory(network)))


def sweep() -> None:
    """Free what killed processes had leased, in all networks, and close its published ports.

    Nobody needs that for an address: whoever takes it does the same, though a free one without
    a file is taken first. But until then the host's own connections to such a port lead nowhere,
    even to a server that listens there by now.
    """
    for network, folder, address in _dead():
        lease = _try(network, network.block(address.version), folder, address)
        if lease is not None:
            release(lease)


def has_dead() -> bool:
    """Say whether there is anything for :func:`sweep` to do."""
    return any(True for _ in _dead())


def _dead() -> Iterator[tuple[Network, Path, Address]]:
    """Yield each address whose holder was killed, with its network and the folder of its lease."""
    for network in store.every():
        folder = directory(network)
        for name in locks.not_held(folder, names_in(folder)):
            if _was_written(folder / name):
                yield network, folder, ip_address(name)


def _was_written(path: Path) -> bool:
    """Say whether it has had a holder; an empty one may be about to be locked for the first."""
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False


def _take_wanted(network: Network, block: Block, folder: Path, wanted: str) -> Lease:
    address = choice.checked(network.name, block, wanted)
    for _ in range(_TRIES):
        lease = _try(network, block, folder, address)
        if lease is not None:
            return lease
        time.sleep(_PAUSE)  # Perhaps somebody only sweeps.
    facts = read(folder / str(address))
    holder = f"container {facts.name or facts.container[:12]} has it" if facts else ""
    flag = "--ip6" if block.version == 6 else "--ip"
    raise Conflict(f"Address already in use: {wanted}", holder, f"Choose another {flag}.")


def _take_any(network: Network, block: Block, folder: Path, liked: list[str]) -> Lease:
    reserved = block.reserved().keys()
    for known in (names_in(folder), []):  # To ask first who of them lives takes longer.
        for address in choice.candidates(block, liked, known):
            if address not in reserved:
                lease = _try(network, block, folder, address)
                if lease is not None:
                    return lease
    name, pools = network.name, f"no available IPv{block.version} addresses on this network's"
    raise Exhausted(
        f"{pools} address pools: {name}",
        f"all addresses of {block.pool} are in use",
        "Stop a container, or make a network with a larger subnet.",
    )


def _try(network: Network, block: Block, folder: Path, address: Address) -> Lease | None:
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
        os.fchmod(fd, lease_folder.FILE_MODE)
        os.ftruncate(fd, 0)
    except BaseException:
        os.close(fd)
        raise
    return Lease(network, interface(address, block.subnet), path, fd)


def _bury(text: bytes, address: Address) -> bool:
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
        nat.unpublish([port_binding.from_json(one) for one in facts.ports], address)
    return True


def _files(folder: Path) -> list[Path]:
    return [folder / name for name in names_in(folder)]
