"""Removes a tree of folders, whoever made it.

A process with nothing to lose can nest folders far deeper than a path, a stack or a table of
open files reaches, and can put millions of files into each; shutil.rmtree recurses, holds a
descriptor for each level, and lists each folder as a whole. Here each folder found is first moved
up to the top, by rename(2), so that no depth is left: one descriptor and one batch of names at a
time, and nothing is ever followed.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path

from minirt.kernel import inode_flags
from minirt.kernel.descent import read_names

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
        number = 0
        while names := _first_names(top):
            for one in names:
                if _is_folder(top, one):
                    number = _empty(top, one, number)
                    _insist(partial(os.rmdir, one, dir_fd=top), top, one)
                else:
                    _insist(partial(os.unlink, one, dir_fd=top), top, one)
    finally:
        os.close(top)
    _insist(partial(os.rmdir, name, dir_fd=parent), parent, name)


def _empty(top: int, name: str, number: int) -> int:
    """Remove the files of a folder in ``top``, and move its folders there, under new names.

    These are numbers, and begin after ``number``; return the last.
    """
    folder = os.open(name, _FOLDER, dir_fd=top)
    try:
        while names := _first_names(folder):
            for one in names:
                if _is_folder(folder, one):
                    number += 1
                    while _is_taken(f".{number}", top):
                        number += 1
                    move = partial(os.rename, one, f".{number}", src_dir_fd=folder, dst_dir_fd=top)
                    _insist(move, folder, one)
                else:
                    _insist(partial(os.unlink, one, dir_fd=folder), folder, one)
    finally:
        os.close(folder)
    return number


def _first_names(folder: int) -> list[str]:
    """Return some names of a folder, none if it is empty: what was read before is gone by now."""
    position = 0
    while True:
        names, end = read_names(folder, position)
        if names or end == position:
            return names
        position = end


def _insist(change: Callable[[], None], folder: int, name: str) -> None:
    """Change what is called ``name``; where flags of it or its folder forbid that, clear them."""
    try:
        change()
    except PermissionError as error:
        if error.errno != errno.EPERM:
            raise
        inode_flags.unprotect_open(folder)
        inode_flags.unprotect(folder, name)
        change()


def _is_folder(folder: int, name: str) -> bool:
    return stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode)


def _is_taken(name: str, folder: int) -> bool:
    try:
        os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return False
    return True
