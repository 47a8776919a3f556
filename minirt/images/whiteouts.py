"""How a layer removes what the layers below it have (OCI image-spec, layer.md, "Whiteouts").

In the archive it is a file ``.wh.NAME``, or ``.wh..wh..opq`` for all that a folder has. For
overlayfs it is a character device 0:0 called NAME, or the attribute trusted.overlay.opaque.
"""

from __future__ import annotations

import os
import stat

from minirt.images.stack import OPAQUE

PREFIX = ".wh."
_OPAQUE_MARK = ".wh..wh..opq"
_AUFS_OWN = ".wh..wh."  # what aufs kept for itself: means nothing to others

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def is_whiteout(found: os.stat_result) -> bool:
    """Say whether overlayfs takes this for "nothing here, and nothing below"."""
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def is_folder(parent: int, name: str) -> bool:
    """Say whether there is a folder of that name, not following it."""
    try:
        return stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode)
    except FileNotFoundError:
        return False


def hide(parent: int, mark: str) -> None:
    """Do what the file ``mark`` of an archive says. Raises ValueError if that is nonsense."""
    if mark == _OPAQUE_MARK:
        hide_below(parent, ".")
    if mark.startswith(_AUFS_OWN):
        return
    hidden = mark.removeprefix(PREFIX)
    if hidden in ("", ".", ".."):
        raise ValueError("it removes what is no file")
    try:
        os.mknod(hidden, stat.S_IFCHR, 0, dir_fd=parent)
    except FileExistsError:
        # It hides what is below, not what this layer has put in its place.
        if is_folder(parent, hidden):
            hide_below(parent, hidden)


def hide_below(parent: int, folder: str) -> None:
    """Hide all that the layers below have in a folder."""
    fd = os.open(folder, _FOLDER, dir_fd=parent)
    try:
        os.setxattr(fd, OPAQUE, b"y")
    finally:
        os.close(fd)
