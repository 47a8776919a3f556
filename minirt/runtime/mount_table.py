"""The mounts that config.json lists, each beneath the root file system (config.md, "Mounts").

A destination is resolved once, inside the root, to a descriptor; the mount is finished before it
is attached there. So it doesn't matter what symlinks an image has, or what another
container that shares a volume swaps meanwhile.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from minirt.errors import InvalidRequest, KernelRefused
from minirt.kernel import beneath, copying, libc, mounts, overlay
from minirt.kernel.beneath import Shown
from minirt.kernel.mounts import Attribute, Propagation
from minirt.kernel.steps import Shell, step
from minirt.runtime import cgroup_view
from minirt.runtime.mount_options import Options, parse
from minirt.runtime.mount_sources import Copier
from minirt.runtime.spec import Mount

# A real /proc is what masks and checks rely on: only another real one may cover it, and only these
# of its files may be covered, with files that answer for the container (lxcfs).
_IN_PROC = {
    *("cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg", "slabinfo"),
    *("sys/kernel/ns_last_pid", "sys/crypto/fips_enabled"),
}

_PROC, _PROC_ROOT = 0x9FA0, 1  # PROC_SUPER_MAGIC of linux/magic.h; the inode of its root


@dataclass(slots=True)
class Mounted:
    """What :func:`mount_all` leaves.

    ``writable`` are descriptors of the file systems that the table wants read-only, for
    :func:`make_readonly`: until then targets of later mounts can be made in them, and devices.
    ``binds`` are the places of bind mounts in the root, with the destinations that the table has:
    those differ where the image has symlinks.
    """

    writable: list[int] = field(default_factory=list)
    binds: dict[str, str] = field(default_factory=dict)

    def lead_astray(self, path: str, asked: str) -> str:
        """Return the destination of the bind mount that a symlink has led over ``path``; or "".

        ``asked`` is the path as the config has it: below that destination it was meant.
        """
        covering = [place for place in self.binds if path == place or path.startswith(f"{place}/")]
        destination = self.binds[max(covering, key=len)] if covering else ""
        return "" if f"{asked}/".startswith(f"{destination}/") else destination

    def covers(self, place: str) -> bool:
        """Say whether a bind mount lies over a place, whatever its destination in the table."""
        return place in self.binds

    def add(self, one: Mount, place: str) -> None:
        """Take down that a mount of the table lies over a place, and over all below it."""
        for hidden in [p for p in self.binds if p == place or p.startswith(f"{place}/")]:
            del self.binds[hidden]
        if one.is_bind:
            self.binds[place] = one.place


class _Astray(Exception):
    """The target of minirt's own file would have to be made in the mount of another folder."""


def _place_in(root: int, fd: int) -> str:
    """Return the path of an open file, as seen from the root."""
    top, path = beneath.path_of(root), beneath.path_of(fd)
    return f"/{path.removeprefix(top).lstrip('/')}"


def mount_all(
    root: int,
    table: tuple[Mount, ...],
    copy: Copier,
    given: Mapping[int, int] | None = None,
) -> Mounted:
    """Mount the table in its order. Raises InvalidRequest, KernelRefused.

    ``given`` are mounts that were made outside, by their numbers (``mount_sources``); ``copy``
    makes those of the other binds.
    """
    done = Mounted()
    for number, one in enumerate(table):
        try:
            left = _mount(root, one, copy, (given or {}).get(number), done)
            if left is not None:
                done.writable.append(left)
        except _Astray:
            continue
        except OSError as error:
            what = f"Cannot mount {one.kind or 'bind'} on {one.destination}"
            where = f" ({error.filename})" if error.filename else ""
            why = error.strerror or os.strerror(error.errno or 0)
            raise KernelRefused(what, f"{why}{where}") from error
    return done


def make_readonly(writable: list[int]) -> None:
    """Make the file systems that :func:`mount_all` left writable read-only; close them."""
    for fd in writable:
        with step("forbid to write there", "mount", "-o", "remount,bind,ro", Shown(fd)):
            mounts.change(fd, add=Attribute.RDONLY)
        os.close(fd)


def _mount(root: int, one: Mount, copy: Copier, given: int | None, done: Mounted) -> int | None:
    """Mount one line of the table; return its descriptor if it must become read-only later."""
    options = parse(one.options)
    if one.is_bind:
        tree = given
        if tree is None:
            tree = copy(one, options, root=root)
        try:
            _bind(root, one, options, copy.bundle / one.source, tree, done)
        finally:
            os.close(tree)
    elif given is not None:
        with _target(root, one, done) as target:
            words = ("-t", one.kind, *_told(options), one.source or one.kind, Shown(target))
            with step("mount a file system", "mount", *words):
                mounts.attach(given, target)
        os.close(given)
    elif one.kind == "cgroup":
        with _target(root, one, done) as target:
            cgroup_view.mount(target, options.add)
    else:
        return _new(root, one, options, done)
    return None


def _bind(root: int, one: Mount, options: Options, source: Path, tree: int, done: Mounted) -> None:
    """Show a file or folder of the host inside: a copy of its mount, ready to be attached."""
    is_folder = stat.S_ISDIR(os.fstat(tree).st_mode)
    straight = _is_proc(tree) and os.path.normpath(one.destination) == "/proc"
    with _target(root, one, done, is_folder=is_folder, straight=straight) as target:
        if not straight:
            _refuse_proc(root, one, target)
        if is_folder != stat.S_ISDIR(os.fstat(target).st_mode):
            kinds = ("a folder", "a file") if is_folder else ("a file", "a folder")
            why = f"{source} is {kinds[0]}, and that is {kinds[1]}"
            raise InvalidRequest(f"Cannot mount on {one.destination}", why)
        words = ("--rbind" if options.recursive else "--bind", _propagation(options))
        with step("show a file of the host inside", "mount", *words, *_told(options),
                  source, Shown(target)):  # fmt: skip
            mounts.attach(tree, target)


def _is_proc(tree: int) -> bool:
    """Say whether a mount shows the whole of a proc file system: the host's, mostly."""
    return os.fstat(tree).st_ino == _PROC_ROOT and libc.file_system(tree) == _PROC


def _propagation(options: Options) -> str:
    """Return the option of mount(8) for how events travel."""
    below = "r" if options.propagates_below or not options.propagation else ""
    return f"--make-{below}{(options.propagation or Propagation.PRIVATE).name}".lower()


def _new(root: int, one: Mount, options: Options, done: Mounted) -> int | None:
    """Mount a file system that is made for it; return it if it must become read-only later.

    That is a tmpfs, and whatever is mounted on /dev: the others can't be written into anyway.
    """
    own = list(options.own)
    if one.kind == "overlay":
        own = overlay.named_apart(own)
    takes_mode = one.kind == "tmpfs" and not any(text.startswith("mode=") for text in own)
    existed = takes_mode and _exists(root, one.destination)
    with _target(root, one, done) as target:
        if takes_mode:
            mode = stat.S_IMODE(os.fstat(target).st_mode) if existed else 0o1777
            own.append(f"mode={mode:o}")
        add = options.add | options.add_below
        late = Attribute.NONE
        if one.kind == "tmpfs" or one.place == "/dev" or one.label:
            late = add & Attribute.RDONLY
        told = _told(options, own, but=late)
        words = ("-t", one.kind, *told, one.source or one.kind, Shown(target))
        rest = (Shell("&& chcon"), one.label, Shown(target)) if one.label else ()
        with step("mount a file system", "mount", *words, *rest):
            made = mounts.new(one.kind, own, add & ~late, one.source)
            try:
                if one.label:
                    _label(made, one.label)
                if options.copies_up and one.kind == "tmpfs":
                    copying.copy_tree(target, made)  # before anybody can see it
                if options.propagation:
                    mounts.change(made, propagation=options.propagation)
                mounts.attach(made, target)
            except BaseException:
                os.close(made)
                raise
    if late:
        return made
    os.close(made)
    return None


def _label(made: int, label: str) -> None:
    """Label the root of a file system that belongs to a namespace.

    Of a user namespace it can't be: the kernel made that root for nobody whom its ids name. It
    keeps the label that the policy gave it.
    """
    from minirt.kernel import security_modules  # The reader has read it already.

    try:
        security_modules.label_folder(made, label)
    except OSError as error:
        if error.errno != errno.EPERM:  # EACCES is the policy's.
            raise


@contextmanager
def _target(
    root: int, one: Mount, done: Mounted, *, is_folder: bool = True, straight: bool = False
) -> Iterator[int]:
    """Open, or make, the destination; add it to what is ``done`` when the body has mounted there.

    /proc and /sys must be what they seem: ``straight``.
    """
    path = one.destination
    if straight or one.kind in ("proc", "sysfs"):
        try:
            fd = beneath.open_beneath(root, path, beneath.FOLDER, resolve=beneath.STRAIGHT)
        except FileNotFoundError:
            fd = beneath.make_directories(root, path)
        except OSError as error:
            why = "it is no real folder of the image, or reached through a symlink"
            raise InvalidRequest(f"Cannot mount {one.kind or 'bind'} on {path}", why) from error
    elif is_folder:
        fd = _folder(root, path)
    elif parse(one.options).own_file:
        fd = beneath.make_file(root, path, partial(_refuse_astray, root, one, done))
    else:
        fd = beneath.make_file(root, path)
    try:
        if os.path.sameopenfile(root, fd):
            why = "that is the root itself, and whoever joins later would see another one than init"
            raise InvalidRequest(f"Cannot mount on {path}", why)
        place = _place_in(root, fd) if one.is_bind or done.binds else ""
        yield fd
        if place:
            done.add(one, place)
    finally:
        os.close(fd)


def _refuse_astray(root: int, one: Mount, done: Mounted, folder: int) -> None:
    if done.lead_astray(_place_in(root, folder), one.place):
        raise _Astray


def _folder(root: int, path: str) -> int:
    try:
        return beneath.make_directories(root, path)
    except NotADirectoryError:
        raise InvalidRequest(
            f"Cannot mount on {path}", "it, or a part of it, is no folder"
        ) from None


def _refuse_proc(root: int, one: Mount, target: int) -> None:
    """Refuse what would cover /proc or a part of it."""
    proc, _, inside = _place_in(root, target)[1:].partition("/")
    if proc == "proc" and inside not in _IN_PROC:
        why = "nothing may cover /proc: what hides the host's secrets relies on it"
        raise InvalidRequest(f"Cannot mount on {one.destination}", why, "Mount it elsewhere.")


def _exists(root: int, path: str) -> bool:
    try:
        os.close(beneath.open_beneath(root, path))
    except OSError:
        return False
    return True


def _told(
    options: Options, own: list[str] | None = None, but: Attribute = Attribute.NONE
) -> tuple[str, ...]:
    """Return the options as mount(8) wants them, without the attributes ``but``."""
    below = [f"{word}=recursive" for word in mounts.words(options.add_below & ~but)]
    words = [*mounts.words(options.add & ~but), *(own or []), *below]
    return ("-o", mounts.told(words)) if words else ()
