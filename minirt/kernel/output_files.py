"""Writes files where a caller wants them: archives, PID files, files with an ID.

They lie where the caller wants them, also in a folder that other users may write to, such as /tmp.
A user who guesses the name of a file there can put a symlink in its place, and then root writes to
what the symlink leads to. (fs.protected_symlinks, proc_sys_fs(5), prevents that in sticky folders
only, and not on every host.) So a file is made under a name that was not there (O_EXCL, open(2)):
the kernel follows no symlink then.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import BinaryIO

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def replaced(path: Path, mode: int = 0o666) -> Iterator[BinaryIO]:
    """Open a file for writing that replaces ``path`` at once when the body has ended.

    If the body fails, nothing has changed. ``mode`` is before the umask. Only a regular file or a
    symlink to one is replaced: a rename over /dev/null would take the device from the whole host.
    Raises OSError.
    """
    _check_may_be_replaced(path)
    scratch = os.path.join(os.path.dirname(path), f".{os.urandom(8).hex()}")  # noqa: PTH118, PTH120
    fd = os.open(scratch, _NEW_FILE, mode)
    try:
        with os.fdopen(fd, "wb") as file:
            yield file
        os.replace(scratch, path)  # noqa: PTH105
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise


def write_new(path: Path, text: str) -> None:
    """Write a file that must not be there yet. Raises FileExistsError, also for a symlink."""
    with os.fdopen(os.open(path, _NEW_FILE, 0o666), "w", encoding="utf-8") as file:
        file.write(text)


def _check_may_be_replaced(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        kind = "a device" if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else "no regular file"
        raise OSError(errno.EINVAL, f"it is {kind}, and would be replaced by a file", str(path))
