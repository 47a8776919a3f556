"""What is mounted in a container without being made there: what binds show, and more.

Each is a mount that is attached nowhere yet, dressed as the config wants it. Usually init makes
them. In a user namespace it can't: it is nobody on the host, so it finds no way to the
sources, and may map no owners. Then a child of the creator makes them outside, with the
rights of the host's root, in a mount namespace of its own that is gone a moment later:

    its root       the overlay, over layers whose owners are mapped
    binds          those that map owners even where there is no user namespace
    file systems   of a namespace that the container shares: /sys is the network's
    devices        those of the config: mknod(2) is forbidden in a user namespace
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from minirt.errors import InvalidRequest, KernelRefused, kernel_refused
from minirt.kernel import beneath, cgroups, devices, libc, mounts, processes, user_namespaces
from minirt.kernel.mounts import Propagation
from minirt.kernel.namespaces import Namespace
from minirt.kernel.steps import step
from minirt.kernel.user_namespaces import Ids
from minirt.runtime import dev, joining, rootfs
from minirt.runtime.mount_options import Options, parse
from minirt.runtime.rootfs import Overlay
from minirt.runtime.spec import Device, Mount, Spec

SHM = "/dev/shm"
ROOT = -1  # the key of the root; those of mounts are their numbers in ``spec.mounts``
_FIRST_DEVICE = -2  # Devices count down from here, in the order of ``spec.devices``.
_OWNERS = {"sysfs": Namespace.NET, "mqueue": Namespace.IPC, "cgroup": Namespace.CGROUP}


def with_sources_inside(spec: Spec, bundle: Path) -> Spec:
    """Mark the binds whose source lies in the root, where an earlier mount of the list may be.

    Init makes those when their turn comes, and looks their source up in the root that it has built
    so far. All others show what the host has.
    """
    top = os.path.realpath(bundle / spec.root.path)
    earlier: list[str] = []
    table = []
    for one in spec.mounts:
        source = os.path.realpath(bundle / one.source) if one.is_bind and earlier else ""
        path = source.removeprefix(top) if f"{source}/".startswith(f"{top}/") else None
        if path is not None and any(_overlap(path, place) for place in earlier):
            table.append(replace(one, inside=path or "/"))
        else:
            table.append(one)
        earlier.append(one.place)
    return replace(spec, mounts=tuple(table))


def _overlap(one: str, other: str) -> bool:
    """Say whether one path is the other, or lies below it."""
    one, other = f"{one.rstrip('/')}/", f"{other.rstrip('/')}/"
    return one.startswith(other) or other.startswith(one)


def outside(spec: Spec) -> tuple[int, ...]:
    """Return the keys of what must be made outside, in the order in which it is handed in."""
    table = list(enumerate(spec.mounts))
    if not spec.has_own_ids:
        return tuple(number for number, one in table if one.is_idmapped)
    made = (
        number
        for number, one in table
        if (one.is_bind and (one.is_idmapped or not one.inside)) or _is_anothers(one, spec)
    )
    return (*made, *devices_made_outside(spec), ROOT)


def devices_made_outside(spec: Spec) -> dict[int, Device]:
    """Return the devices that are made outside, by their keys. A FIFO can be made inside."""
    if not spec.has_own_ids or not dev.is_own(spec.mounts):
        return {}
    return {
        _FIRST_DEVICE - number: one for number, one in enumerate(spec.devices) if one.kind != "p"
    }


def _is_anothers(one: Mount, spec: Spec) -> bool:
    """Say whether a file system shows a namespace that is not the container's own.

    A PID namespace that is joined shows only to those who are in it: that is init, not we.
    """
    if one.kind == "proc":
        return Namespace.PID not in spec.namespaces
    owner = _OWNERS.get(one.kind)
    if owner is None or owner in spec.new_namespaces():
        return False
    return one.kind != "cgroup" or all(h.version == 2 for h in cgroups.mounted())


def make(
    spec: Spec, bundle: Path, overlay: Overlay | None, ids: Ids | None, shm_of: str = ""
) -> list[int]:
    """Make all that is to be made outside; ``ids`` are those of the container, if it has its own.

    For a process with a mount namespace of its own, which ends soon. Raises InvalidRequest,
    KernelRefused.
    """
    mounts.hide_from_parent()
    copy = Copier(bundle, parents_namespace, shm_of)
    place = bundle / spec.root.path
    # The root before all that is mounted in it: some programs take the order in which mounts were
    # made for that of mounting. An overlay comes last: it covers its layers in this namespace.
    root = [rootfs.copied(place)] if ids is not None and overlay is None else []
    found = [_mount(spec, spec.mounts[key], copy, ids) for key in outside(spec) if key >= 0]
    if ids is not None:
        found += _devices(devices_made_outside(spec).values(), bundle, ids)
        if overlay is not None:
            root = [_overlay(place, overlay, ids)]
    return found + root


def parents_namespace() -> str:
    """Return the path of the parent's mount namespace, from which this process has its own."""
    return f"/proc/{processes.parent_as_seen_from_proc()}/ns/mnt"


@dataclass(frozen=True, slots=True)
class Copier:
    """Copies the sources of binds, each when its turn comes: mounts are numbered as they are made.

    Most sources are copied in the namespace of this process. Two kinds are in another one: a mount
    that passes on what is mounted in it (mount_namespaces(7), "shared") does so only if it is
    copied from a peer of the host's, which the mounts here are no more after
    :func:`mounts.hide_from_parent`; and /dev/shm may be that of another container.
    """

    bundle: Path
    # Returns the path of the namespace that this one is a copy of; without it all is copied here.
    host: Callable[[], str] | None = None
    shm_of: str = ""  # the path of the other container's

    def __call__(
        self, one: Mount, options: Options, *, ids: Ids | None = None, root: int | None = None
    ) -> int:
        """Copy the mount of a bind's source; return the copy, dressed. Raises as :func:`copied`."""
        if self.shm_of and one.place == SHM:
            return _elsewhere(self.shm_of, one.source)
        is_shared = options.propagation == Propagation.SHARED
        if self.host is None or not is_shared or one.is_idmapped or one.inside:
            return copied(one, options, self.bundle, ids, root)
        with _in_namespace(self.host()):
            return copied(one, options, self.bundle)


def _elsewhere(namespace: str, path: str) -> int:
    """Copy the mount at a path of another mount namespace, whose processes may be hostile."""
    with _in_namespace(namespace):
        root = os.open("/", beneath.FOLDER)
        try:
            fd = beneath.open_beneath(root, path, beneath.FOLDER, resolve=beneath.STRAIGHT)
        finally:
            os.close(root)
        try:
            tree = mounts.copy(fd)
        finally:
            os.close(fd)
    mounts.change(tree, propagation=Propagation.PRIVATE)
    return tree


@contextmanager
def _in_namespace(path: str) -> Iterator[None]:
    """Be in another mount namespace for the body; then go back, to the root directory there."""
    own = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        joining.join(Namespace.MOUNT, path)
        try:
            yield
        finally:
            libc.setns(own, Namespace.MOUNT)
    finally:
        os.close(own)


def _mount(spec: Spec, one: Mount, copy: Copier, ids: Ids | None) -> int:
    options = parse(one.options)
    try:
        if one.is_bind:
            return copy(one, options, ids=ids)
        owner = _OWNERS.get(one.kind, Namespace(0))
        path = spec.namespaces.get(owner)
        if path:
            joining.join(owner, path)
        kind = "cgroup2" if one.kind == "cgroup" else one.kind
        return mounts.new(kind, options.own, options.add | options.add_below, one.source)
    except OSError as error:
        what = f"Cannot mount {one.kind or 'bind'} on {one.destination}"
        where = f" ({error.filename})" if error.filename else ""
        raise KernelRefused(what, f"{error.strerror}{where}") from error


def copied(
    one: Mount,
    options: Options,
    bundle: Path,
    ids: Ids | None = None,
    root: int | None = None,
) -> int:
    """Copy the mount of a bind's source, relative to ``bundle``; return the copy, dressed.

    A source inside the root is looked up beneath ``root``, if that is given. Raises InvalidRequest,
    KernelRefused, OSError.
    """
    if "remount" in options.own:
        raise InvalidRequest(f"Cannot mount on {one.destination}", "'remount' is not supported")
    source = bundle / one.source
    if one.inside and root is not None:
        fd = beneath.open_beneath(root, one.inside)
    else:
        fd = os.open(source, beneath.PATH_ONLY)
    try:
        tree = mounts.copy(fd, recursive=options.recursive)
    finally:
        os.close(fd)
    try:
        if one.is_idmapped:
            _map_owners(tree, source, one, options, ids)
        _dress(tree, options)
    except BaseException:
        os.close(tree)
        raise
    return tree


def _dress(tree: int, options: Options) -> None:
    below = options.propagates_below or not options.propagation
    propagation = options.propagation or Propagation.PRIVATE
    mounts.change(tree, propagation=propagation, recursive=below)
    if options.add or options.clear:
        mounts.change(tree, add=options.add, clear=options.clear)
    if options.add_below or options.clear_below:
        add, clear = options.add_below, options.clear_below
        mounts.change(tree, add=add, clear=clear, recursive=True)


def _map_owners(tree: int, source: Path, one: Mount, options: Options, ids: Ids | None) -> None:
    """Map owners with the mount's own mappings, or with those of the container."""
    if one.uid_mappings:
        with user_namespaces.mapped(one.uid_mappings, one.gid_mappings) as namespace:
            _map(tree, source, namespace, recursive=options.maps_below)
        return
    assert ids is not None, "the reader lets no other through"
    _map(tree, source, ids.fd, recursive=options.maps_below)


def _map(tree: int, source: Path, namespace: int, *, recursive: bool = False) -> None:
    words = ("--bind", "-o", "X-mount.idmap=/proc/$INIT/ns/user", source, source)
    try:
        with step("show other owners than on disk", "mount", *words):
            mounts.map_owners(tree, namespace, recursive=recursive)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EPERM):
            raise
        what = f"Cannot map the owners of the files in {source}"
        why = "its file system can't do that on this kernel, or maps them already"
        raise KernelRefused(what, why, "Put it on ext4, xfs or btrfs.") from error


def _devices(asked: Collection[Device], place: Path, ids: Ids) -> list[int]:
    """Make device nodes, in a file system that lies over ``place`` as long as that takes."""
    if not asked:
        return []
    found = []
    folder = mounts.new("tmpfs", ("mode=700",))
    target = os.open(place, beneath.FOLDER)
    try:
        mounts.attach(folder, target)
        for one in asked:
            owner = ids.outside(one.uid, one.gid)
            if owner is None:
                why = f"the user namespace has no user {one.uid} or no group {one.gid}"
                raise InvalidRequest(f"Cannot make the device {one.path}", why)
            number = (one.major, one.minor)
            try:
                found.append(devices.detached(folder, one.path, one.kind, number, one.mode, owner))
            except OSError as error:
                raise kernel_refused(f"Cannot make the device {one.path}", error) from error
        libc.umount2(str(place), mounts.DETACH)
    finally:
        os.close(target)
        os.close(folder)
    return found


def _overlay(place: Path, overlay: Overlay, ids: Ids) -> int:
    """Make the container's root of layers. On disk, their files keep the ids of the inside."""
    for folder in (*overlay.lower, overlay.upper.parent):  # The last has overlayfs's own, too.
        fd = os.open(folder, beneath.FOLDER)
        tree = mounts.copy(fd)
        _map(tree, folder, ids.fd)
        mounts.attach(tree, fd)
        os.close(tree)
        os.close(fd)
    user_namespaces.own_files_as(ids.uid, ids.gid)
    fd = rootfs.open_root(place, overlay)
    return mounts.copy(fd)
