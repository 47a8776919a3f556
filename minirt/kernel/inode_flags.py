"""Flags by which a file forbids even root to change or remove it: chattr(1), ioctl_iflags(2)."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct

_GET, _SET = 0x8008_6601, 0x4008_6602  # FS_IOC_GETFLAGS, FS_IOC_SETFLAGS of 64-bit machines
IMMUTABLE, APPEND = 0x10, 0x20  # include/uapi/linux/fs.h
_FLAGS = struct.Struct("=l4x")  # the kernel reads and writes an int, whatever the number says


def unprotect(folder: int, name: str) -> None:
    """Take the flags "immutable" and "append only" from a file or folder in an open folder.

    Other kinds of files can't have them. Raises OSError; with EPERM where CAP_LINUX_IMMUTABLE is
    lacking.
    """
    if stat.S_IFMT(os.lstat(name, dir_fd=folder).st_mode) not in (stat.S_IFREG, stat.S_IFDIR):
        return
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    try:
        unprotect_open(fd)
    finally:
        os.close(fd)


def unprotect_open(fd: int) -> None:
    """Take these flags from an open file or folder, as :func:`unprotect` does."""
    try:
        (flags,) = _FLAGS.unpack(fcntl.ioctl(fd, _GET, bytes(_FLAGS.size)))
        if flags & (IMMUTABLE | APPEND):
            fcntl.ioctl(fd, _SET, _FLAGS.pack(flags & ~(IMMUTABLE | APPEND)))
    except OSError as error:
        if error.errno == errno.EPERM:
            why = "a file is immutable (chattr +i); to change that needs CAP_LINUX_IMMUTABLE"
            raise OSError(errno.EPERM, why) from None
        if error.errno not in (errno.ENOTTY, errno.EOPNOTSUPP):  # a file system without flags
            raise
