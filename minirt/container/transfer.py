"""``cp``: files between the host and a container, whether that runs or not.

What a container has is opened beneath its root only (``kernel.beneath``), for it may be hostile
and swap a folder for a symlink at any moment. One that does not run gets its root mounted for
the time being, in a mount namespace of the calling process.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from minirt.container import alive, lifecycle, record, spec_mounts
from minirt.container.record import Record
from minirt.errors import Conflict, InvalidRequest, NotFound
from minirt.images import store as images
from minirt.kernel import beneath, libc, mounts, namespaces, processes, tree_copy
from minirt.kernel.namespaces import Namespace
from minirt.kernel.tree_copy import Copying
from minirt.runtime import mount_table, rootfs
from minirt.runtime.mount_sources import Copier
from minirt.runtime.rootfs import Overlay
from minirt.runtime.spec import Mount
from minirt.state import made

MNT_DETACH = 2  # umount2(2)


@dataclass(frozen=True, slots=True)
class Side:
    """Where to copy from or to: a path as it was typed, seen from a root that is held open."""

    root: int
    path: str

    @property
    def content_only(self) -> bool:
        """Say whether a folder itself is not meant, only what is in it."""
        return self.path.endswith("/.") or posixpath.normpath(self.path) == "/"


def copy(source: Side, target: Side, how: Copying, *, follow: bool = False) -> None:
    """Copy as cp(1) and Docker do. Raises NotFound, InvalidRequest, OSError."""
    flags = beneath.PATH_ONLY | (0 if follow or source.path.endswith("/") else os.O_NOFOLLOW)
    try:
        fd = beneath.open_beneath(source.root, source.path, flags)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"Could not find the file {source.path}") from None
    try:
        _place(source, target, how, fd)
    finally:
        os.close(fd)


def _place(source: Side, target: Side, how: Copying, fd: int) -> None:
    is_folder = stat.S_ISDIR(os.fstat(fd).st_mode)
    there = _folder(target, target.path)
    if there is not None and is_folder and source.content_only:
        tree_copy.copy_content(how, fd, there)
    elif there is not None:
        tree_copy.copy(how, fd, there, posixpath.basename(posixpath.normpath(source.path)))
    else:
        _place_as(target, how, fd, is_folder=is_folder)
    if there is not None:
        os.close(there)


def _place_as(target: Side, how: Copying, fd: int, *, is_folder: bool) -> None:
    """Copy to a name that is not there yet, or is a file's."""
    if target.path.endswith("/") and not is_folder:
        raise InvalidRequest(f"Cannot copy to {target.path}", "there is no such directory")
    path = posixpath.normpath(target.path)
    parent = _folder(target, posixpath.dirname(path))
    if parent is None:
        raise NotFound(f"Could not find the directory {posixpath.dirname(path)}")
    try:
        tree_copy.copy(how, fd, parent, posixpath.basename(path))
    except NotADirectoryError:
        raise InvalidRequest(f"Cannot copy a directory to {path}", "a file is there") from None
    finally:
        os.close(parent)


def _folder(side: Side, path: str) -> int | None:
    try:
        return beneath.open_beneath(side.root, path, beneath.FOLDER)
    except (FileNotFoundError, NotADirectoryError):
        return None


@contextmanager
def root_of(one: Record) -> Iterator[int]:
    """Open the root directory of a container. Raises Conflict if it is just starting."""
    init = lifecycle.init_of(one)
    if init is None:
        with _mounted(one) as root:
            yield root
        return
    try:
        root = os.open(f"/proc/{init[0]}/root", beneath.FOLDER)
    except OSError:
        raise Conflict(f"Cannot look into container {one.name}", "it has just ended") from None
    try:
        os.close(processes.open_pidfd(*init))  # Or the number is another process's by now.
        yield root
    except ProcessLookupError:
        raise Conflict(f"Cannot look into container {one.name}", "it has just ended") from None
    finally:
        os.close(root)


@contextmanager
def _mounted(one: Record) -> Iterator[int]:
    """Mount the root of a container that does not run, and keep others from starting it."""
    run = record.run_directory(one.id)
    try:
        lock = alive.take(one.id)
    except BlockingIOError:
        lifecycle.check_is_there(one)
        why = "it is just starting or ending"
        raise Conflict(f"Cannot look into container {one.name}", why) from None
    is_mounted = False
    try:
        lifecycle.check_is_there(one)
        namespaces.unshare(Namespace.MOUNT)
        mounts.hide_from_parent()
        folder = record.directory(one.id)
        layers = images.find(one.image_id).layers
        overlay = Overlay(layers, made(folder / "upper"), made(folder / "work"))
        root = rootfs.open_root(made(run / "rootfs"), overlay)
        is_mounted = True
        mount_table.mount_all(root, tuple(_binds(one)), Copier(folder))
        yield root
        os.close(root)
    finally:
        if is_mounted:  # Where that fails, nothing of what it shows may be removed below.
            libc.umount2(str(run / "rootfs"), MNT_DETACH)
        alive.let_go(one.id, lock)


def _binds(one: Record) -> Iterator[Mount]:
    for mount in one.mounts:
        found = spec_mounts.bind(mount)
        yield Mount(found["destination"], "bind", found["source"], tuple(found["options"]))
