"""The end of a cgroup's folder (cgroups(7)): only an empty one can be removed."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

_PATIENCE = 2.0  # seconds that an emptied group may stay busy; the kernel needs milliseconds


def remove(path: Path) -> bool:
    """Remove a folder, and before that those below it; no error if it has gone. Returns True.

    Its processes must be dead. Raises OSError, EBUSY if there is still one after some time.
    """
    for child in _children(path):
        remove(child)
    deadline = time.monotonic() + _PATIENCE
    while not try_to(path):
        if time.monotonic() > deadline:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(path))
        time.sleep(0.001)
    return True


def try_to(path: Path) -> bool:
    """Remove a folder; say whether it has gone now: not if there is something in it."""
    try:
        path.rmdir()
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


def _children(path: Path) -> list[Path]:
    try:
        with os.scandir(path) as entries:
            return [Path(one.path) for one in entries if one.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
