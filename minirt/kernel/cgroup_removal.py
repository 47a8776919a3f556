"""The end of a cgroup's folder (cgroups(7)): only an empty one can be removed.

A process that may make cgroups can nest them deeper than any path is long, and can make any number
of them: one folder is open at a time, and none is looked up by its path.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PATIENCE = 2.0  # seconds that an emptied group may stay busy; the kernel needs milliseconds


def remove(path: Path) -> bool:
    """Remove a folder, and before that those below it; no error if it has gone. Returns True.

    Its processes must be dead. Raises OSError, EBUSY if there is still one after some time.
    """
    try:
        here = os.open(path, _FOLDER)
    except FileNotFoundError:
        return True
    below: list[str] = []  # the names from there to the open folder
    try:
        while (name := _child(here)) or below:
            if name:
                below.append(name)
                here = _opened_instead(here, name)
            else:
                here = _opened_instead(here, "..")
                _insist(partial(os.rmdir, below.pop(), dir_fd=here), path)
    finally:
        os.close(here)
    _insist(path.rmdir, path)
    return True


def try_to(path: Path) -> bool:
    """Remove a folder; say whether it has gone now: not if there is something in it."""
    return _has_gone(path.rmdir)


def _insist(remove: Callable[[], None], path: Path) -> None:
    """Remove a folder that may be busy for some time. Raises OSError, EBUSY."""
    deadline = time.monotonic() + _PATIENCE
    while not _has_gone(remove):
        if time.monotonic() > deadline:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(path))
        time.sleep(0.001)


def _has_gone(remove: Callable[[], None]) -> bool:
    try:
        remove()
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


def _child(folder: int) -> str:
    """Return the name of a folder in this one; "" if there is none."""
    with os.scandir(folder) as entries:
        return next((one.name for one in entries if one.is_dir(follow_symlinks=False)), "")


def _opened_instead(folder: int, name: str) -> int:
    """Close a folder, and open another one by its name there."""
    try:
        return os.open(name, _FOLDER, dir_fd=folder)
    finally:
        os.close(folder)
