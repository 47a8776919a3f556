"""Owner, permissions, times and extended attributes of what has been unpacked."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # or everything that asks about attributes would load tarfile
    from minirt.images.tars import Entry


def furnish(fd: int, entry: Entry) -> None:
    """Set owner, then permissions, then attributes: chown(2) takes the latter two away."""
    os.fchown(fd, entry.member.uid, entry.member.gid)
    os.fchmod(fd, entry.mode)
    for key, value in entry.xattrs.items():
        if not is_welcome(key):
            continue
        try:
            os.setxattr(fd, key, value)
        except OSError as error:
            if error.errno != errno.ENOTSUP or not key.startswith("user."):
                raise


def is_welcome(xattr: str) -> bool:
    """Say whether an attribute belongs to the file rather than to the machine or to overlayfs."""
    if xattr.startswith("user."):
        return not xattr.startswith("user.overlay.")
    return xattr == "security.capability"


def set_time(parent: int, name: str, entry: Entry) -> None:
    """Set the time of a name that is no folder, not following it."""
    times = (entry.nanoseconds, entry.nanoseconds)
    os.utime(name, ns=times, dir_fd=parent, follow_symlinks=False)


def set_mode(parent: int, name: str, mode: int) -> None:
    """Set the permissions of a name that is no file, not following it.

    A descriptor that stands for the path alone is enough, and opens no device.
    """
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        os.chmod(f"/proc/self/fd/{fd}", mode)  # noqa: PTH101  # fchmod(2) refuses O_PATH
    finally:
        os.close(fd)
