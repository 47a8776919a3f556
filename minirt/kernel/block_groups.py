"""Where ext4 puts folders: together with the folder they are made in, or far from each other.

ext4 does not use the number of a deleted file again for a minute or more, so that no journal tells
of two files by one number; and who makes a file looks at all such numbers of its block group
first. Folders are made in the group of the one they are in: so what a hundred short lives have
left behind in the last minutes meets the next one, whose files and overlay cost a third of a
start, 10 ms. A folder with the attribute T (chattr(1)) is the top of a hierarchy: what is made in
it is taken for unrelated, as the homes in /home are, and gets the group that is most free.
"""

from __future__ import annotations

import fcntl
import os
import struct
from contextlib import suppress
from pathlib import Path

# include/uapi/linux/fs.h; the numbers say "long", the kernel reads and writes an int.
_GET_FLAGS, _SET_FLAGS = 0x80086601, 0x40086602
_TOP_OF_HIERARCHY = 0x00020000  # FS_TOPDIR_FL
_FLAGS = struct.Struct("i")


def spread(folder: Path) -> None:
    """Let the folders that will be made in this one lie apart; where that can't be, they do not."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # EOPNOTSUPP, ENOTTY: another file system, which needs no hint
            (flags,) = _FLAGS.unpack(fcntl.ioctl(fd, _GET_FLAGS, _FLAGS.pack(0)))
            fcntl.ioctl(fd, _SET_FLAGS, _FLAGS.pack(flags | _TOP_OF_HIERARCHY))
    finally:
        os.close(fd)
