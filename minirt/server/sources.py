"""minirt's own files: when they have changed, the server has imported what is not true any more."""

from __future__ import annotations

import os
from pathlib import Path

import minirt
from minirt.kernel import inotify

TOP = Path(minirt.__file__).parent
_CHANGES = inotify.MODIFY | inotify.ATTRIB | inotify.MOVED_FROM | inotify.MOVED_TO
_CHANGES |= inotify.CREATE | inotify.DELETE | inotify.ONLYDIR


class Sources:
    """All of them, as they are now.

    inotify(7) collects what happens to them: to look at 400 files for each command would take
    half a millisecond of it. Where a user has no instance left they are looked at. It follows
    files, not names: that their folder is another one now, it does not tell.
    """

    def __init__(self) -> None:
        files = [*TOP.rglob("*.py"), *TOP.rglob("*.json")]  # The latter are tables and profiles.
        # Watch first, look second: nothing can happen in between.
        self._inotify = _watched({file.parent for file in files})
        self._top = _identity()
        self._ages = {file: file.stat().st_mtime_ns for file in files}

    def have_changed(self) -> bool:
        """Say whether one has changed, or gone."""
        try:
            if _identity() != self._top:
                return True
            if self._inotify is not None and not list(inotify.events(self._inotify)):
                return False
            return any(file.stat().st_mtime_ns != age for file, age in self._ages.items())
        except OSError:
            return True

    def close(self) -> None:
        """Watch no more."""
        if self._inotify is not None:
            os.close(self._inotify)


def _identity() -> tuple[int, int]:
    status = TOP.stat()
    return status.st_dev, status.st_ino


def _watched(folders: set[Path]) -> int | None:
    """Return an inotify instance for these folders; None: the user has too many."""
    try:
        fd = inotify.instance()
    except OSError:
        return None
    try:
        for folder in folders:
            inotify.watch(fd, folder, _CHANGES)
    except OSError:
        os.close(fd)
        return None
    return fd
