"""Writes the entries of one layer into a folder, as nobody's fool.

The archive may name anything: ``..``, absolute paths, paths through symlinks that it brought
itself, links to files outside, device nodes. So a path is never used: the parent folder of an
entry is opened beneath the target (openat2(2), RESOLVE_IN_ROOT: a symlink ends inside, wherever
it points), and everything else is done to the one last name in that folder, never following it.

What a layer removes from those below it is whiteouts.py's. Only this way leads there: what means
something to overlayfs is refused or left out when an archive brings it itself.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from minirt.errors import InvalidRequest, in_quotes, kernel_refused
from minirt.images.attributes import furnish, set_mode, set_time
from minirt.images.streams import Readable
from minirt.images.tars import Entry, damaged, entries
from minirt.images.whiteouts import PREFIX, hide, hide_below, is_folder, is_whiteout
from minirt.kernel import trees
from minirt.kernel.beneath import make_directories, open_beneath

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LARGEST_MAJOR, _LARGEST_MINOR = (1 << 12) - 1, (1 << 20) - 1  # include/linux/kdev_t.h
_NOT_THE_ARCHIVES_FAULT = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EPERM}


class FolderTimes:
    """When each folder was last changed, to be set last, since writing into a folder changes it.

    Kept in a file: an archive of some megabytes can name millions of folders.
    """

    _RECORD = struct.Struct("=qI")  # nanoseconds, and the bytes of the path that follows

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file

    def note(self, path: str, nanoseconds: int) -> None:
        """Add a folder by its path beneath the target."""
        raw = os.fsencode(path)
        self.file.write(self._RECORD.pack(nanoseconds, len(raw)) + raw)

    def noted(self) -> Iterator[tuple[str, int]]:
        """Yield all that was noted, in its order; of one that comes twice the last is right."""
        self.file.seek(0)
        while head := self.file.read(self._RECORD.size):
            nanoseconds, length = self._RECORD.unpack(head)
            yield os.fsdecode(self.file.read(length)), nanoseconds


@dataclass(slots=True)
class Unpacking:
    """A target folder, what has been written to it, and what may be."""

    root: int  # a descriptor of the target
    folder_times: FolderTimes
    limit: int  # bytes of content
    allow_devices: bool = False
    size: int = 0  # bytes of content so far
    left_out: int = 0  # device nodes below /dev


def unpack(source: Readable, target: Path, limit: int, *, allow_devices: bool) -> Unpacking:
    """Write the tar archive ``source`` into the empty folder ``target``.

    ``limit`` is in bytes of content. Raises InvalidRequest and KernelRefused; what has been
    written until then stays for the caller to remove.
    """
    root = os.open(target, _FOLDER)
    try:
        os.fchmod(root, 0o755)
        with TemporaryFile(dir=target.parent) as file:
            return _unpack(source, Unpacking(root, FolderTimes(file), limit, allow_devices))
    except OSError as error:
        raise kernel_refused("Cannot unpack the archive", error) from error
    finally:
        os.close(root)


def _unpack(source: Readable, state: Unpacking) -> Unpacking:
    state.folder_times.note("", 0)  # a root that the archive doesn't mention is from 1970
    for entry in entries(source):
        try:
            _write(state, entry)
        except ValueError as error:
            raise _refused(entry, str(error)) from error
        except OSError as error:
            raise _explained(error, entry) from error
    for path, nanoseconds in state.folder_times.noted():
        _set_folder_time(state, path, nanoseconds)
    return state


def _write(state: Unpacking, entry: Entry) -> None:
    names = [name for name in os.fsdecode(entry.name).split("/") if name not in ("", ".")]
    if ".." in names:
        raise _refused(entry, "its path contains '..'")
    if not names:
        if not entry.member.isdir():
            raise _refused(entry, "the root can only be a directory")
        _furnish_folder(state, entry, os.dup(state.root), "")
        return
    parent = make_directories(state.root, "/".join(names[:-1]))
    try:
        if names[-1].startswith(PREFIX):
            hide(parent, names[-1])
        else:
            _make(state, entry, parent, names)
    finally:
        os.close(parent)


def _make(state: Unpacking, entry: Entry, parent: int, names: list[str]) -> None:
    name, member = names[-1], entry.member
    replaced_whiteout = _make_room(parent, name, keep_folder=member.isdir())
    if member.isdir():
        if not is_folder(parent, name):
            os.mkdir(name, 0o700, dir_fd=parent)
        if replaced_whiteout:
            hide_below(parent, name)  # Nothing of the old folder shines through.
        fd = os.open(name, _FOLDER, dir_fd=parent)
        _furnish_folder(state, entry, fd, "/".join(names))
    elif member.islnk():
        _link(state, entry, parent, name)
    elif member.issym():
        os.symlink(os.fsdecode(entry.link), name, dir_fd=parent)
        os.chown(name, member.uid, member.gid, dir_fd=parent, follow_symlinks=False)
        set_time(parent, name, entry)
    elif member.isreg():
        _write_file(state, entry, parent, name)
    elif member.isfifo():
        _make_node(entry, parent, name, stat.S_IFIFO, 0)
    elif member.isdev():
        _make_device(state, entry, parent, names)
    else:
        raise _refused(
            entry, f"its type {in_quotes(member.type.decode(errors='replace'))} is unknown"
        )


def _write_file(state: Unpacking, entry: Entry, parent: int, name: str) -> None:
    state.size += entry.bytes_held
    if state.size > state.limit:
        why = f"its files have more than {state.limit >> 20} MiB"
        raise InvalidRequest("This archive is too large", why)
    fd = os.open(name, _NEW_FILE, 0o600, dir_fd=parent)
    try:
        for offset, data in entry.content():
            written = 0
            while written < len(data):
                written += os.pwrite(fd, data[written:], offset + written)
        if entry.member.issparse():
            os.ftruncate(fd, entry.member.size)
        furnish(fd, entry)
        os.utime(fd, ns=(entry.nanoseconds, entry.nanoseconds))
    finally:
        os.close(fd)


def _link(state: Unpacking, entry: Entry, parent: int, name: str) -> None:
    """Give a file of this layer a second name; a link to a symlink is one to the symlink."""
    directory, _, last = os.fsdecode(entry.link).rpartition("/")
    if last in ("", ".", "..") or last.startswith(PREFIX):
        raise _refused(entry, "it is a link to what is no file")
    source = open_beneath(state.root, directory)
    try:
        mode = os.lstat(last, dir_fd=source).st_mode
        if stat.S_ISDIR(mode) or (stat.S_ISCHR(mode) and not state.allow_devices):
            raise _refused(entry, "it is a link to what is no file")
        os.link(last, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
    finally:
        os.close(source)


def _make_device(state: Unpacking, entry: Entry, parent: int, names: list[str]) -> None:
    """Make a device node, if that was asked for; below /dev it would be hidden anyway."""
    member = entry.member
    if not 0 <= member.devmajor <= _LARGEST_MAJOR or not 0 <= member.devminor <= _LARGEST_MINOR:
        raise _refused(entry, "its device number cannot be")
    device = os.makedev(member.devmajor, member.devminor)
    if member.ischr() and device == 0:
        raise _refused(entry, "the character device 0:0 would remove a file")
    if state.allow_devices:
        kind = stat.S_IFCHR if member.ischr() else stat.S_IFBLK
        _make_node(entry, parent, names[-1], kind, device)
    elif names[0] == "dev":
        state.left_out += 1
    else:
        raise _refused(entry, "it is a device node", "--allow-devices takes them.")


def _make_node(entry: Entry, parent: int, name: str, kind: int, device: int) -> None:
    os.mknod(name, kind | 0o600, device, dir_fd=parent)
    os.chown(name, entry.member.uid, entry.member.gid, dir_fd=parent, follow_symlinks=False)
    set_mode(parent, name, entry.mode)
    set_time(parent, name, entry)


def _furnish_folder(state: Unpacking, entry: Entry, fd: int, path: str) -> None:
    try:
        furnish(fd, entry)
    finally:
        os.close(fd)
    state.folder_times.note(path, entry.nanoseconds)


def _make_room(parent: int, name: str, *, keep_folder: bool) -> bool:
    """Remove what an earlier entry put here; say whether it was a whiteout."""
    try:
        found = os.lstat(name, dir_fd=parent)
    except FileNotFoundError:
        return False
    if not stat.S_ISDIR(found.st_mode):
        os.unlink(name, dir_fd=parent)
    elif not keep_folder:
        trees.remove_in(parent, name)
    return is_whiteout(found)


def _set_folder_time(state: Unpacking, path: str, nanoseconds: int) -> None:
    try:
        fd = open_beneath(state.root, path, _FOLDER)
    except OSError:
        return  # A later entry has replaced it.
    try:
        os.utime(fd, ns=(nanoseconds, nanoseconds))
    finally:
        os.close(fd)


def _refused(entry: Entry, why: str, remedy: str = "") -> InvalidRequest:
    name = os.fsdecode(entry.name)[:200]
    return InvalidRequest(f"The archive's entry {in_quotes(name)} is refused", why, remedy)


def _explained(error: OSError, entry: Entry) -> Exception:
    if error.errno in _NOT_THE_ARCHIVES_FAULT:
        return kernel_refused("Cannot unpack the archive", error)
    return damaged(f"{in_quotes(os.fsdecode(entry.name)[:200])}: {error.strerror}")
