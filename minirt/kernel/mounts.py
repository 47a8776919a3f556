"""Mounts by descriptor: made or copied first, dressed, and then attached (mount_setattr(2)).

A mount begins detached, named by a descriptor alone: fsopen(2) makes a file system, open_tree(2)
copies a mount that exists. It gets its attributes while nobody can reach it, and is attached with
move_mount(2) to a target that is a descriptor too. No path is looked up between check and use,
and no mount is ever writable for a moment. All of this is in Linux since 5.12.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterable
from enum import IntFlag
from functools import cache

from minirt.kernel import libc
from minirt.kernel.steps import Shell, step

_AT_FDCWD = -100
_AT_EMPTY_PATH, _AT_RECURSIVE = 0x1000, 0x8000
_OPEN_TREE_CLONE, _CLOEXEC = 1, os.O_CLOEXEC
_FSOPEN_CLOEXEC = _FSMOUNT_CLOEXEC = 1
_SET_FLAG, _SET_STRING, _CREATE = 0, 1, 6  # enum fsconfig_command
_ONTO_DESCRIPTOR = 0x04 | 0x40  # MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH
DETACH, NO_FOLLOW = 2, 8  # MNT_DETACH, UMOUNT_NOFOLLOW: for umount2(2)
_IDMAP = 0x0010_0000  # MOUNT_ATTR_IDMAP, with userns_fd
_MOUNT_ATTR = struct.Struct("QQQQ")  # struct mount_attr: set, clear, propagation, userns_fd


class Attribute(IntFlag):
    """The MOUNT_ATTR_* flags of include/uapi/linux/mount.h, and nothing."""

    NONE = 0
    RDONLY = 0x01
    NOSUID = 0x02
    NODEV = 0x04
    NOEXEC = 0x08
    NOATIME = 0x10
    STRICTATIME = 0x20
    ATIME = 0x70  # the field that the two above, and relatime (0), are values of
    NODIRATIME = 0x80
    NOSYMFOLLOW = 0x0020_0000


@cache
def words(attributes: Attribute) -> tuple[str, ...]:
    """Return attributes as mount(8) takes them after -o."""
    names = [str(one.name).lower() for one in Attribute if one in attributes and one.name]
    return tuple("ro" if name == "rdonly" else name for name in names)


def told(options: Iterable[str]) -> str:
    """Return options as one word for mount(8) -o: a comma in one (of SELinux) is quoted."""
    return ",".join(one.replace("=", '="', 1) + '"' if "," in one else one for one in options)


class Propagation(IntFlag):
    """How mount events travel (mount_namespaces(7)); REC is told apart by the caller."""

    NONE = 0
    UNBINDABLE = 1 << 17
    PRIVATE = 1 << 18
    SLAVE = 1 << 19
    SHARED = 1 << 20


def new(
    fstype: str,
    options: Iterable[str] = (),
    attributes: Attribute = Attribute.NONE,
    source: str = "",
) -> int:
    """Make a file system that nobody sees yet; return the descriptor of its mount.

    ``options`` are as mount(8) takes them after -o, of the file system only. An OSError carries
    the kernel's own words on what it did not like, or else the option that it refused.
    """
    context = libc.syscall("fsopen", fstype, _FSOPEN_CLOEXEC)
    option = ""
    try:
        _configure(context, "source", source or fstype)
        for option in options:
            key, equals, value = option.partition("=")
            _configure(context, key, value if equals else None)
        option = ""
        libc.syscall("fsconfig", context, _CREATE, None, None, 0)
        return libc.syscall("fsmount", context, _FSMOUNT_CLOEXEC, attributes)
    except OSError as error:
        raise _explained(context, error, fstype, option) from None
    finally:
        os.close(context)


def copy(fd: int, *, recursive: bool = False) -> int:
    """Copy the mount at an open file, as mount --bind does; return the copy's descriptor."""
    flags = _OPEN_TREE_CLONE | _CLOEXEC | _AT_EMPTY_PATH
    return libc.syscall("open_tree", fd, "", flags | (_AT_RECURSIVE if recursive else 0))


def change(
    fd: int,
    *,
    add: Attribute = Attribute.NONE,
    clear: Attribute = Attribute.NONE,
    propagation: Propagation = Propagation.NONE,
    recursive: bool = False,
) -> None:
    """Change the attributes of the mount at an open file, mount_setattr(2)."""
    flags = _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    attr = _attr(add, clear, propagation)
    libc.syscall("mount_setattr", fd, "", flags, attr, _MOUNT_ATTR.size)


@cache
def _attr(
    add: Attribute, clear: Attribute, propagation: Propagation
) -> ctypes.Array[ctypes.c_char]:
    if add & Attribute.ATIME:
        clear |= Attribute.ATIME  # A field, not bits: it is cleared as a whole first.
    return ctypes.create_string_buffer(_MOUNT_ATTR.pack(add, clear, propagation, 0))


def map_owners(fd: int, user_namespace: int, *, recursive: bool = False) -> None:
    """Show the owners of files as a user namespace maps them: its ids on disk, others to see.

    Of a mount that is not attached yet. Raises OSError, EINVAL where the file system can't.
    """
    attr = ctypes.create_string_buffer(_MOUNT_ATTR.pack(_IDMAP, 0, 0, user_namespace))
    flags = _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    libc.syscall("mount_setattr", fd, "", flags, attr, _MOUNT_ATTR.size)


def attach(mount: int, target: int) -> None:
    """Attach a detached mount to the file of another descriptor, move_mount(2)."""
    libc.syscall("move_mount", mount, "", target, "", _ONTO_DESCRIPTOR)


class RootIsNoMountPoint(OSError):
    """The root directory of this process is not a mount point, as after chroot(2)."""


def hide_from_parent() -> None:
    """Keep what is mounted from here on from the namespace that this one was copied from.

    Raises RootIsNoMountPoint (mount(2), EINVAL).
    """
    with step("keep mounts to this namespace", "mount", "--make-rslave", "/"):
        try:
            libc.mount(None, "/", None, Propagation.SLAVE | 1 << 14)  # MS_REC
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            why = "the root directory is not a mount point, as in a chroot"
            raise RootIsNoMountPoint(errno.EINVAL, why) from error


def pivot(new_root: int, told: object, propagation: Propagation = Propagation.NONE) -> None:
    """Make the mount of a descriptor the root, and drop the old root from view.

    pivot_root(".", ".") stacks the old root on the new one, so that no directory has to be made
    for it; detaching "." then takes it away (pivot_root(2), NOTES). ``told`` is its path.
    """
    rest = Shell("&& pivot_root . . && umount -l . && cd /")
    with step("make it the root", "cd", told, rest):
        os.fchdir(new_root)
        libc.pivot_root(".", ".")
        libc.umount2(".", DETACH)
        os.chdir("/")
        if propagation:
            libc.mount(None, "/", None, propagation)


def change_root(new_root: int, told: object, propagation: Propagation = Propagation.NONE) -> None:
    """Make the mount of a descriptor the root of this process alone; ``told`` is its path.

    The old root stays where it is. A process that has CAP_SYS_CHROOT finds it again.
    """
    with step("make it the root of this process", "chroot", told):
        os.fchdir(new_root)
        os.chroot(".")
        if propagation:
            libc.mount(None, "/", None, propagation)


def _configure(context: int, key: str, value: str | None) -> None:
    command = _SET_FLAG if value is None else _SET_STRING
    libc.syscall("fsconfig", context, command, key, value, 0)


def _explained(context: int, error: OSError, fstype: str, option: str) -> OSError:
    """Add what the kernel wrote into the context's log: lines like "e tmpfs: Bad value".

    It writes none of a label that SELinux doesn't know.
    """
    code = error.errno or errno.EINVAL
    lines = []
    try:
        while line := os.read(context, 1024):
            lines.append(line.decode(errors="replace").strip()[2:])
    except OSError:
        pass  # ENODATA: that was all.
    if option and not lines:
        lines.append(f"it refuses {option!r}")
    return OSError(code, "; ".join([os.strerror(code), *lines]), fstype)
