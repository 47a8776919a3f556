"""What the container sees as its file system, put together before anybody can see it.

Everything is mounted in the container's own mount namespace, so there is nothing to unmount:
the mounts go when its last process does. All of it happens beneath a descriptor of the root,
and before pivot_root(2), as long as what is needed of the host is still in reach.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from minirt.errors import InvalidRequest
from minirt.kernel import beneath, devices, mounts, overlay
from minirt.kernel.beneath import Shown
from minirt.kernel.mounts import Attribute, Propagation
from minirt.kernel.steps import step


@dataclass(frozen=True, slots=True)
class Overlay:
    """The image's layers (topmost first), what the container writes, and overlayfs's own folder."""

    lower: tuple[Path, ...]
    upper: Path
    work: Path


def open_root(path: Path, layers: Overlay | None) -> int:
    """Make ``path`` a mount, of the overlay or of itself, and open it."""
    if layers:
        if not path.is_dir():
            with step("make a folder", "mkdir", "-p", path):
                path.mkdir(parents=True, exist_ok=True)
        overlay.mount(layers.lower, layers.upper, layers.work, path)
        return os.open(path, beneath.FOLDER)
    folder = opened(path)
    try:
        with step("make the root file system a mount", "mount", "--bind", path, path):
            tree = _copy_of(folder)
            mounts.attach(tree, folder)
        return tree
    finally:
        os.close(folder)


def copied(path: Path) -> int:
    """Copy the mount at ``path``, and all below it; return the copy, attached nowhere."""
    folder = opened(path)
    try:
        return _copy_of(folder)
    finally:
        os.close(folder)


def opened(path: Path) -> int:
    """Open the folder that is to be a container's root.

    As with runc, "name/.." is taken away first, and after that no part of the path may be a
    symlink. Another user may exchange parts of it at any time, so the kernel checks that when it
    opens the folder. Raises InvalidRequest; it also does for the root directory of the host.
    """
    try:
        folder = beneath.open_straight(os.path.normpath(path))
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        why = "it is a symlink, or a part of the path is one"
        raise InvalidRequest(f"root.path: {path}", why, "Name the folder itself.") from error
    if beneath.path_of(folder) == "/":
        os.close(folder)
        why = "it leads to the root directory of this host"
        raise InvalidRequest(f"root.path: {path}", why)
    return folder


def _copy_of(folder: int) -> int:
    tree = mounts.copy(folder, recursive=True)
    mounts.change(tree, propagation=Propagation.PRIVATE, recursive=True)
    return tree


def place_for(path: Path) -> int:
    """Open the place for a root that was made outside: ``path`` if there is a way to it, or "/".

    What is mounted over "/" is nowhere in the way: a path that begins there begins below it.
    """
    try:
        return os.open(path, beneath.FOLDER)
    except PermissionError:
        return os.open("/", beneath.FOLDER)


def make_cwd(root: int, path: str) -> None:
    """Make the working directory if it is missing, 0755. Raises InvalidRequest."""
    try:
        os.close(beneath.make_directories(root, path))
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise InvalidRequest(f"Cannot use {path} as the working directory", why) from error


def set_readonly(root: int, paths: Iterable[str]) -> None:
    """Let nobody write below these paths; those that don't exist need it not."""
    for path in paths:
        fd = _found(root, path)
        if fd is None:
            continue
        words = ("--rbind", "-o", _readonly_words(fd), Shown(fd), Shown(fd))
        with step("forbid to write there", "mount", *words):
            tree = mounts.copy(fd, recursive=True)
            private = Propagation.PRIVATE
            mounts.change(tree, add=Attribute.RDONLY, propagation=private, recursive=True)
            mounts.attach(tree, fd)
            os.close(tree)
        os.close(fd)


def _readonly_words(fd: int) -> str:
    """Name what a mount forbids already, too: mount(8) before 2.39 allows what is not named."""
    kept = Attribute.NOSUID | Attribute.NODEV | Attribute.NOEXEC  # the same bits as of statvfs(3)
    return ",".join(["ro", *mounts.words(kept & os.statvfs(fd).f_flag)])


def mask(root: int, paths: Iterable[str], label: str = "", *, has_own_dev: bool = False) -> None:
    """Hide these paths: files behind the null device, folders behind an empty one.

    A masked file is a read-only mount: otherwise the container could change the owner and the
    mode of the null device behind it. The device is the container's own if it ``has_own_dev``, so
    that it can't watch (inotify(7)) or lock (flock(2)) the host's either. ``label`` is that of
    mounts, for SELinux.
    """
    null = devices.open_null(root if has_own_dev else None)
    empty: int | None = None
    for path in paths:
        fd = _found(root, path)
        if fd is None:
            continue
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            empty = _hide_folder(fd, empty, label)
        else:
            with step("hide a file of the host", "mount", "--bind", "-o", "ro", Shown(null),
                      Shown(fd)):  # fmt: skip
                _attach_copy(null, fd, Attribute.RDONLY)
        os.close(fd)
    os.close(null)
    if empty is not None:
        os.close(empty)


def set_root_readonly(root: int) -> None:
    """Let nobody write to the root file system itself; what is mounted on it stays as it is."""
    with step("forbid to write to the root", "mount", "-o", "remount,bind,ro", Shown(root)):
        mounts.change(root, add=Attribute.RDONLY)


def _hide_folder(fd: int, empty: int | None, label: str) -> int:
    """Attach an empty file system, the same one for all; return it."""
    context = (f"context={label}",) if label else ()
    options = ("nr_blocks=1", "nr_inodes=1", *context)
    words = ("-t", "tmpfs", "-o", mounts.told(("ro", *options)), "tmpfs", Shown(fd))
    with step("hide a folder of the host", "mount", *words):
        if empty is not None:
            _attach_copy(empty, fd)
            return empty
        empty = _empty(options, context)
        mounts.attach(empty, fd)
        return empty


def _empty(options: tuple[str, ...], context: tuple[str, ...]) -> int:
    """Make an empty file system; some kernels need an inode more for the same."""
    try:
        return mounts.new("tmpfs", options, Attribute.RDONLY)
    except OSError:
        return mounts.new("tmpfs", ("nr_blocks=1", "nr_inodes=2", *context), Attribute.RDONLY)


def _attach_copy(source: int, target: int, add: Attribute = Attribute.NONE) -> None:
    tree = mounts.copy(source)
    try:
        mounts.change(tree, add=add, propagation=Propagation.PRIVATE)
        mounts.attach(tree, target)
    finally:
        os.close(tree)


def _found(root: int, path: str) -> int | None:
    try:
        return beneath.open_beneath(root, path)
    except (FileNotFoundError, NotADirectoryError):
        return None
