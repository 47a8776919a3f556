"""Paths that cannot leave a directory, whatever somebody plants or swaps in it meanwhile.

openat2(2) with RESOLVE_IN_ROOT takes a directory for "/": absolute symlinks and ".." end there.
RESOLVE_NO_MAGICLINKS refuses the links of /proc/self/fd and its like, which lead anywhere.
Where something has to be made on the way, the walk goes down one name at a time, each opened
with O_NOFOLLOW from the descriptor of its parent; a symlink is read and walked as text, and
".." takes back the last descriptor. So no name is ever looked up twice.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Callable
from enum import IntFlag
from functools import cache

from minirt.kernel import libc
from minirt.kernel.steps import step

_OPEN_HOW = struct.Struct("QQQ")  # struct open_how: flags, mode, resolve
_AT_FDCWD = -100
_LONGEST_CHAIN = 40  # symlinks in one path, path_resolution(7)
_RETRIES = 128  # EAGAIN: a rename somewhere below raced with "..", openat2(2)

PATH_ONLY = os.O_PATH | os.O_CLOEXEC
FOLDER = PATH_ONLY | os.O_DIRECTORY
Check = Callable[[int], object]
_NEW_FILE = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Resolve(IntFlag):
    """The RESOLVE_* flags of include/uapi/linux/openat2.h."""

    NO_XDEV = 0x01
    NO_MAGICLINKS = 0x02
    NO_SYMLINKS = 0x04
    BENEATH = 0x08
    IN_ROOT = 0x10


INSIDE = Resolve.IN_ROOT | Resolve.NO_MAGICLINKS
STRAIGHT = Resolve.IN_ROOT | Resolve.NO_SYMLINKS


class Shown:
    """The path of a descriptor, looked up only if somebody reads it: for the words of a step."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __str__(self) -> str:
        try:
            return path_of(self._fd)
        except OSError:
            return f"/proc/self/fd/{self._fd}"  # no /proc of this process here


class Below:
    """A name in an open folder, spelled out only if somebody reads it."""

    __slots__ = ("_folder", "_name")

    def __init__(self, folder: int, name: str) -> None:
        self._folder, self._name = folder, name

    def __str__(self) -> str:
        return f"{Shown(self._folder)}/{self._name}"


def path_of(fd: int) -> str:
    """Return where the file of a descriptor is now (proc(5), /proc/pid/fd)."""
    return os.readlink(f"/proc/self/fd/{fd}")  # noqa: PTH115 - on each start's road


def open_beneath(
    root: int, path: str, flags: int = PATH_ONLY, mode: int = 0, resolve: Resolve = INSIDE
) -> int:
    """Open ``path`` with the directory ``root`` as its "/". Raises OSError."""
    how = _how(flags | os.O_CLOEXEC, mode, resolve)
    for _ in range(_RETRIES):
        try:
            return libc.syscall("openat2", root, path or "/", how, _OPEN_HOW.size)
        except BlockingIOError:
            continue
        except OSError as error:
            raise type(error)(error.errno, error.strerror, path) from None
    raise BlockingIOError(f"{path} does not stand still")


def open_straight(path: str) -> int:
    """Open the folder of an absolute path in which nothing is a symlink. Raises OSError: ELOOP."""
    how = _how(FOLDER, 0, Resolve.NO_SYMLINKS)
    return libc.syscall("openat2", _AT_FDCWD, path, how, _OPEN_HOW.size)


@cache
def _how(flags: int, mode: int, resolve: Resolve) -> ctypes.Array[ctypes.c_char]:
    return ctypes.create_string_buffer(_OPEN_HOW.pack(flags, mode, resolve))


def make_directories(root: int, path: str, mode: int = 0o755) -> int:
    """Open the directory ``path`` beneath ``root``; what is missing of it is made."""
    try:
        return open_beneath(root, path, FOLDER)
    except FileNotFoundError:
        return _walk(root, path, mode, is_file=False)


def make_file(root: int, path: str, check: Check = lambda _: None) -> int:
    """Open ``path`` beneath ``root`` as a target for a mount; make an empty file if missing.

    ``check`` is called with each open folder in which something is to be made, and may raise.
    """
    try:
        return open_beneath(root, path)
    except FileNotFoundError:
        return _walk(root, path, 0o755, is_file=True, check=check)


def _walk(root: int, path: str, mode: int, *, is_file: bool, check: Check = lambda _: None) -> int:
    """Go down ``path``, making what is missing; return a descriptor of its end."""
    trail = [os.dup(root)]
    names = _names(path)
    links = 0
    try:
        while names:
            name = names.pop()
            if name == "..":
                if len(trail) > 1:
                    os.close(trail.pop())
                continue
            fd = _enter(trail[-1], name, mode, check, as_file=is_file and not names)
            if not stat.S_ISLNK(os.fstat(fd).st_mode):
                trail.append(fd)
                continue
            links += 1
            target = _target(fd, links, path)
            if target.startswith("/"):
                while len(trail) > 1:
                    os.close(trail.pop())
            names += _names(target)
        return trail.pop()
    finally:
        for fd in trail:
            os.close(fd)


def _enter(parent: int, name: str, mode: int, check: Check, *, as_file: bool) -> int:
    """Open one name of ``parent``, not following it; make it if it is missing."""
    for _ in range(_RETRIES):
        try:
            return os.open(name, PATH_ONLY | os.O_NOFOLLOW, dir_fd=parent)
        except FileNotFoundError:
            check(parent)
            _make(parent, name, mode, as_file=as_file)
    raise FileNotFoundError(f"{name} does not stand still")


def _make(parent: int, name: str, mode: int, *, as_file: bool) -> None:
    umask = os.umask(0)
    try:
        if as_file:
            with step("make an empty file", "touch", Below(parent, name)):
                os.close(os.open(name, _NEW_FILE, 0o644, dir_fd=parent))
        else:
            with step("make a folder", "mkdir", "-m", f"{mode:o}", Below(parent, name)):
                os.mkdir(name, mode, dir_fd=parent)
    except FileExistsError:
        pass  # Somebody was faster; the next look says what it is.
    finally:
        os.umask(umask)


def _target(link: int, links: int, path: str) -> str:
    """Read the symlink of a descriptor, and close that."""
    try:
        if links > _LONGEST_CHAIN:
            raise OSError(40, "Too many levels of symbolic links", path)
        return os.readlink("", dir_fd=link)
    finally:
        os.close(link)


def _names(path: str) -> list[str]:
    """Return the names of a path, the first one last: ready to pop."""
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]
