"""A walk through a cgroup and those below it.

A process that may make cgroups can nest them deeper than any path is long, and can make any number
of them. So none is looked up by a path (``kernel.descent``).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from minirt.kernel import descent
from minirt.kernel.cgroup_files import GONE
from minirt.kernel.descent import Descent

_CHILD = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_CHILDREN = 2  # links of a directory without others in it: its own name, and "."


def walk(folder: Path) -> Iterator[int]:
    """Yield a descriptor of each group, which is closed when the next one is asked for.

    Raises OSError; with one of the numbers in GONE, or with ESTALE, if one was removed meanwhile.
    """
    with closing(descent.of_path(folder)) as groups:
        yield groups.fd
        while (name := _next_name(groups)) is not None or groups.depth:
            if name is None:
                groups.leave()
            elif _enter(groups, name):
                yield groups.fd


def read(group: int, file: str) -> str:
    """Return what a file of a group says; "" if it has gone."""
    try:
        with open(os.open(file, os.O_RDONLY | os.O_CLOEXEC, dir_fd=group)) as opened:
            return opened.read()
    except OSError as error:
        if error.errno in GONE:
            return ""
        raise


def _next_name(groups: Descent) -> str | None:
    """Return the next name in the open group, if there are others than those of its files."""
    return groups.next_name() if os.fstat(groups.fd).st_nlink > _NO_CHILDREN else None


def _enter(groups: Descent, name: str) -> bool:
    """Go down into a group; say whether it is one, and is still there."""
    try:
        child = os.open(name, _CHILD, dir_fd=groups.fd)
    except (NotADirectoryError, FileNotFoundError):
        return False
    try:
        groups.enter(child)
    except OSError as error:
        if error.errno not in (*GONE, errno.ENAMETOOLONG):
            raise
        return False
    finally:
        os.close(child)
    return True
