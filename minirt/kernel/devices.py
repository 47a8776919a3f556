"""Device nodes and links in a folder that is held open (mknod(2), null(4))."""

from __future__ import annotations

import errno
import os
import stat

from minirt.kernel import beneath, mounts
from minirt.kernel.beneath import Below
from minirt.kernel.mounts import Attribute, Propagation
from minirt.kernel.steps import step

TYPES = {"c": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}
NULL = (1, 3)  # Documentation/admin-guide/devices.txt


def make(
    folder: int,
    path: str,
    kind: str,
    number: tuple[int, int],
    mode: int,
    owner: tuple[int, int],
) -> None:
    """Make the node ``path`` in its ``folder``, which is open.

    Where mknod(2) is forbidden, as in every user namespace, show the host's of that path instead.
    """
    name = path.rpartition("/")[2]
    numbers = number if kind != "p" else ()
    words = ("mknod", "-m", f"{mode:o}", Below(folder, name), kind, *numbers)
    with step("make a device node", *words):
        umask = os.umask(0)
        try:
            os.mknod(name, mode | TYPES[kind], os.makedev(*number), dir_fd=folder)
            if owner != (0, 0):
                os.chown(name, *owner, dir_fd=folder, follow_symlinks=False)
        except PermissionError:
            _bind(folder, path, kind, number)
        except FileExistsError:
            _check(os.stat(name, dir_fd=folder, follow_symlinks=False), kind, number, name)
        finally:
            os.umask(umask)


def link(folder: int, name: str, target: str) -> None:
    """Make a symlink in ``folder``, in the place of whatever has that name and is no folder."""
    with step("link a device", "ln", "-sf", target, Below(folder, name)):
        try:
            os.symlink(target, name, dir_fd=folder)
        except FileExistsError:
            os.unlink(name, dir_fd=folder)
            os.symlink(target, name, dir_fd=folder)


def open_null(root: int | None = None) -> int:
    """Open /dev/null as a place, sure that it is the null device. Raises OSError.

    That of the root file system ``root``, or the one of this process.
    """
    if root is None:
        fd = os.open("/dev/null", beneath.PATH_ONLY | os.O_NOFOLLOW)
    else:
        fd = beneath.open_beneath(root, "/dev/null", resolve=beneath.STRAIGHT)
    _check(os.fstat(fd), "c", NULL, "/dev/null")
    return fd


def detached(
    folder: int, path: str, kind: str, number: tuple[int, int], mode: int, owner: tuple[int, int]
) -> int:
    """Return a mount of a node that is made for it in ``folder``, attached nowhere.

    For a process of the host: the node works also where only a user namespace will reach it. Where
    mknod(2) is forbidden even so, it is the host's node of that path. Raises OSError.
    """
    name = path.replace("/", "-")
    with step("make a device node", "mknod", "-m", f"{mode:o}", Below(folder, name), kind, *number):
        umask = os.umask(0)
        try:
            os.mknod(name, mode | TYPES[kind], os.makedev(*number), dir_fd=folder)
            os.chown(name, *owner, dir_fd=folder, follow_symlinks=False)
        except PermissionError:
            return _of_host(path, kind, number)
        finally:
            os.umask(umask)
        node = os.open(name, beneath.PATH_ONLY | os.O_NOFOLLOW, dir_fd=folder)
        return _copied(node, Attribute.NOEXEC)


def show(tree: int, folder: int, path: str) -> None:
    """Attach what :func:`detached` returned at the last name of ``path``, in an open folder."""
    name = path.rpartition("/")[2]
    with step("show a device node", "mount", "--bind", path, Below(folder, name)):
        _attach(tree, folder, name)


def _bind(folder: int, path: str, kind: str, number: tuple[int, int]) -> None:
    """Attach the host's node of that path, which must be the same device."""
    tree = _of_host(path, kind, number)
    try:
        _attach(tree, folder, path.rpartition("/")[2])
    finally:
        os.close(tree)


def _attach(tree: int, folder: int, name: str) -> None:
    target = beneath.make_file(folder, name)
    try:
        mounts.attach(tree, target)
    finally:
        os.close(target)


def _of_host(path: str, kind: str, number: tuple[int, int]) -> int:
    """Return a copy of the mount of the host's node of a path, which must be that device.

    Read only: the device takes what is written to it, and the node keeps its owner and mode.
    """
    source = os.open(path, beneath.PATH_ONLY | os.O_NOFOLLOW)
    try:
        _check(os.fstat(source), kind, number, path.rpartition("/")[2])
    except BaseException:
        os.close(source)
        raise
    return _copied(source, Attribute.NOEXEC | Attribute.RDONLY)


def _copied(node: int, attributes: Attribute) -> int:
    """Return a copy of the mount of a node; closes ``node``."""
    try:
        tree = mounts.copy(node)
    finally:
        os.close(node)
    mounts.change(tree, add=attributes, propagation=Propagation.PRIVATE)
    return tree


def _check(found: os.stat_result, kind: str, number: tuple[int, int], name: str) -> None:
    is_kind = stat.S_IFMT(found.st_mode) == TYPES[kind]
    if not is_kind or (kind != "p" and found.st_rdev != os.makedev(*number)):
        raise OSError(errno.EEXIST, "it is another file than that device", name)
