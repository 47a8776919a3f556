"""Pseudoterminals (pty(7), ioctl_tty(2)).

Of a pair that lives in a devpts of somebody else, nothing is believed by its name: ptmx is
checked to be the multiplexer, and the slave comes from the master itself, TIOCGPTPEER.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import termios

from minirt.kernel import beneath, mounts
from minirt.kernel.beneath import Resolve, Shown
from minirt.kernel.steps import step

# include/uapi/asm-generic/ioctls.h; the termios module has no names for them in Python 3.11.
_TIOCSPTLCK, _TIOCGPTPEER = 0x4004_5431, 0x5441
_PTMX = os.makedev(5, 2)
_PTMX_INODE = 2  # fs/devpts/inode.c: the first file of every instance
_PEER_FLAGS = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC


def open_descriptors() -> int:
    """Open this process's folder in /proc/self/fd: it still works where there is no such /proc."""
    return os.open("/proc/self/fd", beneath.FOLDER)


def open_pair(root: int, own_descriptors: int) -> tuple[int, int]:
    """Make a pair in the devpts that is mounted on dev/pts beneath ``root``.

    ``own_descriptors`` is from :func:`open_descriptors`. Returns the master and the slave.
    Raises OSError, ENXIO if what is there is no devpts.
    """
    straight = Resolve.IN_ROOT | Resolve.NO_SYMLINKS
    place = beneath.open_beneath(root, "dev/pts/ptmx", resolve=straight)
    try:
        found = os.fstat(place)
        if (found.st_rdev, found.st_ino) != (_PTMX, _PTMX_INODE) or not stat.S_ISCHR(found.st_mode):
            raise OSError(errno.ENXIO, "it is no devpts", "/dev/pts")
        with step("open a terminal", "python3", "-c", "import os; os.openpty()"):
            master = os.open(str(place), _PEER_FLAGS, dir_fd=own_descriptors)
            fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
            slave = fcntl.ioctl(master, _TIOCGPTPEER, _PEER_FLAGS)
    finally:
        os.close(place)
    return master, slave


def set_size(fd: int, rows: int, columns: int) -> None:
    """Set the size of the window; the kernel tells the foreground process group, SIGWINCH."""
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def take_control(fd: int) -> None:
    """Make the terminal the controlling one of this process's session, which has none yet."""
    fcntl.ioctl(fd, termios.TIOCSCTTY, 0)


def show_at(slave: int, folder: int, name: str) -> None:
    """Attach the slave to ``name`` in an open folder: as /dev/console it is what TTY 0 was."""
    target = beneath.make_file(folder, name)
    try:
        with step("show the terminal as the console", "mount", "--bind", Shown(slave),
                  Shown(target)):  # fmt: skip
            tree = mounts.copy(slave)
            mounts.change(tree, propagation=mounts.Propagation.PRIVATE)
            mounts.attach(tree, target)
            os.close(tree)
    finally:
        os.close(target)
