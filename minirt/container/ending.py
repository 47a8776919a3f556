"""What happens when a container has ended, in the order that lets it be started again at once.

First what the kernel does not free by itself (elements of published ports, cgroups), while
the locks still keep others away; then the locks. One that was started with ``--rm`` isn't
started again: of it only what others may want comes before the answer (addresses, ports, its
name), and the rest after it. Who is killed between the two leaves a lock that nobody holds.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path

from minirt import state
from minirt.container import alive, joining, lifecycle, names, record, volumes
from minirt.container.holdings import Holdings
from minirt.container.record import Record
from minirt.kernel import descriptors, netlink, processes, trees
from minirt.network import identity

Delete = Callable[[list[Path]], None]


def is_forgotten(one: Record) -> bool:
    """Say whether nobody asks for what the kernel has of it any more when its init is dead.

    With a PID namespace of another's, somebody may live in its cgroup still; and one below
    another's nobody would find without the record, if the monitor were killed.
    """
    return one.host.auto_remove and not one.host.pid_mode and not one.host.cgroup_parent


def open_mounts(one: Record, init: int) -> int | None:
    """Open the mount namespace of its init, a pid, for who will be the last to have that.

    For an overlay's end the kernel writes out the whole file system of its upper layer, and init
    would be that long about its exit(2). None if something of the operator's is mounted there,
    who may wait for its end. Raises OSError.
    """
    return None if one.mounts else os.open(f"/proc/{init}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)


def release(one: Record, holdings: Holdings) -> Callable[[], None]:
    """Free what a run of the container held; return what is to be done after the answer."""
    if holdings.bindings:
        _unpublish(holdings)
    if not is_forgotten(one):
        lifecycle.group_of(one).end()
    wires = _wires(holdings)
    freed: list[Path] = []
    if not joining.hand_on(holdings.locked(), holdings.heirs):
        for path, _ in holdings.locked():
            path.unlink(missing_ok=True)  # before its lock falls: nobody ever locks a dead file
            freed.append(path)
    if holdings.ids is not None:
        holdings.ids[0].unlink(missing_ok=True)
    if holdings.link is not None:
        holdings.link.close()
    remains = []
    if one.host.auto_remove:
        volumes.remove_anonymous(one)
        remains = [set_aside(one)]
    # The ports before the lock: who finds that it has fallen may want them at once.
    descriptors.close(holdings.descriptors() - {holdings.lock})
    if holdings.joined is not None:
        freed += joining.free(holdings.joined)
    if not is_forgotten(one):
        alive.let_go(one.id, holdings.lock)

    def finish() -> None:
        _cut([wires[path] for path in freed if path in wires])
        if is_forgotten(one):
            lifecycle.group_of(one).end()
            alive.let_go(one.id, holdings.lock)
        delete_all(remains)

    return finish


def _wires(holdings: Holdings) -> dict[Path, int]:
    """Return the indices of the wires' ends on the host, by the files of their leases.

    Once another container has the address, the wire of that name is that one's. An index is not
    used again.
    """
    paths = [path for path, _ in holdings.locked()]
    paths += [path for path, _ in holdings.joined.leases] if holdings.joined else []
    found = {}
    for path in paths:
        with suppress(OSError):  # A macvlan link, or the lease of a further address: it has none.
            found[path] = socket.if_nametoindex(identity.host_end(ip_address(path.name)))
    return found


def _cut(wires: list[int]) -> None:
    """Set wires down, whoever keeps the network namespace that the other end is in.

    The kernel removes a wire with the namespace. But the container can have passed a socket to
    another one (unix(7), SCM_RIGHTS), and as long as that is open the namespace stays.
    """
    if not wires:
        return
    with netlink.connect() as links:
        for index in wires:
            with suppress(OSError):  # The kernel has removed it meanwhile.
                links.set_down(index)


def sweep_dead(one: Record) -> None:
    """Remove what the kernel does not, of a container whose monitor was killed."""
    lifecycle.group_of(one).end()


def delete_all(folders: list[Path]) -> None:
    """Delete folders that nobody sees any more. Raises OSError, after all others, if one stays."""
    met = None
    for folder in folders:
        try:
            trees.remove(folder)
        except OSError as error:
            met = error
    if met is not None:
        raise met


def discard(one: Record, *, volumes_too: bool, delete: Delete = delete_all) -> None:
    """Take away all that is left of a dead container, whose lock the caller holds."""
    sweep_dead(one)
    if volumes_too or one.host.auto_remove:
        volumes.remove_anonymous(one)
    try:
        remains = [set_aside(one)]
    except FileNotFoundError:
        remains = []  # Its monitor did that: it was a --rm container.
    alive.end(one.id)
    delete(remains)


def set_aside(one: Record) -> Path:
    """Take a container out of sight: its name first, then its folder, renamed to the trash.

    Raises FileNotFoundError if that was done already.
    """
    if not names.take_along(one.name, one.id):
        with suppress(FileNotFoundError, *record.DAMAGED):  # It may have been renamed.
            names.take_along(record.load(one.id).name, one.id)
    return state.set_aside(record.directory(one.id), state.root_dir())


@contextmanager
def deleting_beside() -> Iterator[Delete]:
    """Delete in a child during the body, beside what else there is to do, and wait for the end.

    To delete waits for the disk, and to remove the next container does not. Raises OSError.
    """
    reader, writer = os.pipe()
    child = processes.fork(lambda: _delete_what_comes(reader))
    os.close(reader)
    told: list[Path] = []

    def tell(folders: list[Path]) -> None:
        told.extend(folders)
        with suppress(BrokenPipeError):  # It has ended early, for a reason that will be met.
            os.write(writer, b"".join(os.fsencode(one) + b"\0" for one in folders))

    try:
        yield tell
    finally:
        os.close(writer)
        if processes.wait(child) != 0:
            delete_all(told)  # again: so who has called us meets what the child has met


def _delete_what_comes(reader: int) -> int:
    processes.close_all_but({reader})
    code = 0
    with open(reader, "rb") as told:
        rest = b""
        while piece := told.read1():
            *paths, rest = (rest + piece).split(b"\0")
            try:
                delete_all([Path(os.fsdecode(path)) for path in paths])
            except OSError:
                code = 1
    return code


def _unpublish(holdings: Holdings) -> None:
    from minirt.network import nat

    with suppress(OSError):  # They lead to nobody: the next one's sweep tries again.
        nat.unpublish(holdings.bindings, *holdings.published_to)
