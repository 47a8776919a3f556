"""Folders of leases, and who may look into them: root, and the resolvers.

    RUN                       0700  root        closed: nobody else comes as far as the rest
    RUN/networks, …/NAME      2710  root:GROUP  a resolver may pass through, from inside
    RUN/networks/NAME/leases  2750  root:GROUP  and list these
    …/leases/ADDRESS          0640  root:GROUP  and read them

A resolver opens RUN/networks while it is root still, and works from there (resolver.py).
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from minirt import state

# Users and groups from 0x70000000 to 0x7FFDFFFF are the only ones that no distribution, no
# subuid(5) of shadow and no container manager gives to anybody (UIDS-GIDS.md of systemd).
GROUP = 0x7000_0000
FILE_MODE = 0o640
_PASS, _READ = 0o2710, 0o2750  # The group is inherited: S_ISGID, inode(7).


def made(folder: Path) -> Path:
    """Return a folder of leases, RUN/networks/NAME/leases, made if needed, open to resolvers."""
    state.made(folder)
    open_up(folder)
    return folder


def open_up(folder: Path) -> None:
    """Let resolvers read a folder of leases. Raises FileNotFoundError."""
    for one in (folder.parents[1], folder.parent):
        _open(one, _PASS)
    if _open(folder, _READ):
        for path in folder.iterdir():  # leases from before there were resolvers without rights
            path.chmod(FILE_MODE)
            _give_to_group(path)


def _open(folder: Path, mode: int) -> bool:
    """Set group and mode; say whether they were others. Asking first saves time, not safety."""
    found = folder.stat()
    if (found.st_gid, stat.S_IMODE(found.st_mode)) == (GROUP, mode):
        return False
    _give_to_group(folder)
    folder.chmod(mode)  # Whatever the umask; and chown(2) may have cleared S_ISGID.
    return True


def _give_to_group(path: Path) -> None:
    try:
        os.chown(path, -1, GROUP)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # A user namespace that doesn't know the group, nor the resolver's user: it stays root.
