"""Removes a tree of folders, whoever made it.

A process with nothing to lose can nest folders far deeper than a path, a stack or a table of
open files reaches; shutil.rmtree recurses, and holds a descriptor for each level. Here each
folder found is first moved up to the top, by rename(2), so that no depth is left: one
descriptor and one name at a time, and nothing is ever followed.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove(path: Path) -> None:
    """Remove a folder and all that is in it; it is fine if it isn't there. Raises OSError."""
    try:
        parent = os.open(path.parent, _FOLDER)
    except FileNotFoundError:
        return
    try:
        remove_in(parent, path.name)
    except FileNotFoundError:
        return
    finally:
        os.close(parent)


def remove_in(parent: int, name: str) -> None:
    """Remove the folder ``name`` of an open folder, and all that is in it. Raises OSError."""
    top = os.open(name, _FOLDER, dir_fd=parent)
    try:
        waiting, number = _emptied(top, top, 0)
        while waiting:
            moved = waiting.pop()
            fd = os.open(moved, _FOLDER, dir_fd=top)
            try:
                found, number = _emptied(fd, top, number)
            finally:
                os.close(fd)
            waiting += found
            os.rmdir(moved, dir_fd=top)
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=parent)


def _emptied(folder: int, top: int, number: int) -> tuple[list[str], int]:
    """Remove the files of a folder and move its folders up; return their new names."""
    moved = []
    for name in os.listdir(folder):
        if not stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode):
            os.unlink(name, dir_fd=folder)
            continue
        if folder == top:
            moved.append(name)
            continue
        number += 1
        while _is_taken(new := f".{number}", top):
            number += 1
        os.rename(name, new, src_dir_fd=folder, dst_dir_fd=top)
        moved.append(new)
    return moved, number


def _is_taken(name: str, folder: int) -> bool:
    try:
        os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return False
    return True
