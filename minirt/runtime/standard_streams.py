"""Standard streams that lead to no inode of the host's file systems.

A process may change mode, owner, times and attributes of whatever it has open: fchmod(2) asks for
the owner of the inode, not for a path. The root of a container is the host's root, so a
descriptor of the host's /dev/null is enough to close /dev/null for every user of the host. Hence:

    terminals, and memory devices          are opened again through a read-only mount, on which
    (null, zero, full, random)             the kernel refuses every change of the inode (EROFS)
    memory devices, after that             become the container's own nodes, if /dev has them

An image or an operator may mount a volume on /dev, and then the container has no such nodes: so
the first step does not depend on the second. Bytes flow as before: a read-only mount does not
concern what is written *to a device*.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from minirt.kernel import beneath, descriptors, libc, mounts
from minirt.kernel.mounts import Attribute, Propagation

PIPEFS = 0x5049_5045  # PIPEFS_MAGIC of include/uapi/linux/magic.h

# Documentation/admin-guide/devices.txt
_MEMORY_DEVICES = {
    os.makedev(1, 3): "null",
    os.makedev(1, 5): "zero",
    os.makedev(1, 7): "full",
    os.makedev(1, 8): "random",
    os.makedev(1, 9): "urandom",
}
Streams = tuple[int, int, int]
_PTMX = os.makedev(5, 2)  # To open it again would make another terminal.
_STATUS = os.O_ACCMODE | os.O_APPEND | os.O_NONBLOCK


def is_anonymous_pipe(fd: int) -> bool:
    """Say whether ``fd`` is a pipe of pipe(2). A named FIFO, fifo(7), is a file of the host."""
    return stat.S_ISFIFO(os.fstat(fd).st_mode) and libc.file_system(fd) == PIPEFS


@contextmanager
def protected(streams: Streams | None) -> Iterator[Streams | None]:
    """Yield the streams to hand in: devices are opened again through read-only mounts.

    None stands for the caller's own streams, and for streams that are handed in as they are. For a
    process of the host. A terminal that was opened in another mount namespace can't be opened in
    this way and stays as it is. What was opened is closed after the body.
    """
    again: dict[int, int] = {}
    one, two, three = streams or (0, 1, 2)
    try:
        for fd in {one, two, three}:
            if _is_device(fd):
                with suppress(OSError):
                    again[fd] = _opened_again(fd)
        if again and (streams or _are_open((0, 1, 2))):
            yield again.get(one, one), again.get(two, two), again.get(three, three)
        else:
            yield streams
    finally:
        descriptors.close(again.values())


def use_own_devices(root: int, own_descriptors: int) -> None:
    """Replace memory devices among descriptors 0 to 2 by the nodes in /dev beneath ``root``.

    Nothing there is trusted to be what its name says. Where /dev has no such node, or lies on a
    mount that allows no devices (EACCES), the stream stays what :func:`protected` made of it.
    ``own_descriptors`` is from :func:`terminals.open_descriptors`.
    """
    nodes: dict[int, int | None] = {}
    for fd in (0, 1, 2):
        device = _memory_device(fd)
        if device is None:
            continue
        if device not in nodes:
            nodes[device] = _own_node(root, device)
        node = nodes[device]
        if node is not None:
            with suppress(PermissionError):
                _replace(fd, os.open(str(node), _flags(fd), dir_fd=own_descriptors))
    for node in nodes.values():
        if node is not None:
            os.close(node)


def _are_open(fds: Iterable[int]) -> bool:
    try:
        for fd in fds:
            os.fstat(fd)
    except OSError:
        return False
    return True


def _is_device(fd: int) -> bool:
    if _memory_device(fd) is not None:
        return True
    try:
        return os.isatty(fd) and os.fstat(fd).st_rdev != _PTMX
    except OSError:
        return False


def _memory_device(fd: int) -> int | None:
    """Return the number of the memory device that a stream is; None if it is none, or closed."""
    try:
        found = os.fstat(fd)
    except OSError:
        return None
    if stat.S_ISCHR(found.st_mode) and found.st_rdev in _MEMORY_DEVICES:
        return found.st_rdev
    return None


def _flags(fd: int) -> int:
    flags = fcntl.fcntl(fd, fcntl.F_GETFL) & _STATUS
    return flags | os.O_NOCTTY | os.O_CLOEXEC


def _opened_again(fd: int) -> int:
    device = _memory_device(fd)
    try:
        return _opened_read_only(fd)
    except OSError:  # EINVAL: the stream was opened in another mount namespace.
        if device is None:
            raise
        return _opened_anew(device, _flags(fd))


def _opened_anew(device: int, flags: int) -> int:
    """Open a node of a memory device that exists for this descriptor only."""
    name = _MEMORY_DEVICES[device]
    folder = descriptors.high(mounts.new("tmpfs", ("nr_inodes=2",)))
    descriptors.leave(folder)
    os.mknod(name, stat.S_IFCHR, device, dir_fd=folder)
    os.chmod(name, 0o666, dir_fd=folder)
    return descriptors.high(os.open(name, flags, dir_fd=folder))


def _opened_read_only(fd: int) -> int:
    """Open the file of ``fd`` again, through a read-only mount that is attached nowhere.

    To close the mount takes the kernel 0.4 ms, so that is left to the end of this process.
    """
    tree = descriptors.high(mounts.copy(fd))
    descriptors.leave(tree)
    mounts.change(tree, add=Attribute.RDONLY, propagation=Propagation.PRIVATE)
    flags = _flags(fd)
    # Not to wait for the carrier of a serial line, termios(3).
    again = descriptors.high(os.open(f"/proc/self/fd/{tree}", flags | os.O_NONBLOCK))
    if not flags & os.O_NONBLOCK:
        os.set_blocking(again, True)
    return again


def _own_node(root: int, device: int) -> int | None:
    """Open the container's node of a memory device as a place (O_PATH); None if it has none."""
    name = f"/dev/{_MEMORY_DEVICES[device]}"
    try:
        node = beneath.open_beneath(root, name, resolve=beneath.STRAIGHT)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise
        return None
    if _memory_device(node) == device:
        return node
    os.close(node)
    return None


def _replace(fd: int, other: int) -> None:
    os.dup2(other, fd)
    os.close(other)
