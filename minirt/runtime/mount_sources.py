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
from collections.abc import Collection, Container
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from minirt.errors import InvalidRequest, KernelRefused, kernel_refused
from minirt.kernel import beneath, cgroups, devices, libc, mounts, user_namespaces
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
    tied = before_hiding(spec, bundle, shm_of)
    mounts.hide_from_parent()
    found = [
        tied.get(number) or _mount(spec, spec.mounts[number], bundle, ids)
        for number in outside(spec)
        if number >= 0
    ]
    if ids is not None:
        found += _devices(devices_made_outside(spec).values(), bundle, ids)
        found.append(_root(bundle / spec.root.path, overlay, ids))
    return found


def before_hiding(
    spec: Spec, bundle: Path, shm_of: str = "", but: Container[int] = ()
) -> dict[int, int]:
    """Copy what must keep its tie to the host, and what another mount namespace has.

    A mount that passes on what is mounted in it (mount_namespaces(7), "shared") does so only if
    it is copied as long as this namespace is a peer of the host's. ``but`` are those that are
    made already. Raises as :func:`copied`.
    """
    found = {}
    for number, one in enumerate(spec.mounts):
        options = parse(one.options)
        if number in but or not one.is_bind or one.inside:
            continue
        if shm_of and one.place == SHM:
            found[number] = _elsewhere(shm_of, one.source)
        elif options.propagation == Propagation.SHARED and not one.is_idmapped:
            found[number] = copied(one, options, bundle)
    return found


def _elsewhere(namespace: str, path: str) -> int:
    """Copy the mount at a path of another mount namespace, whose processes may be hostile."""
    with ExitStack() as held:
        own = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        held.callback(os.close, own)
        joining.join(Namespace.MOUNT, namespace)
        held.callback(libc.setns, own, Namespace.MOUNT)
        root = os.open("/", beneath.FOLDER)
        held.callback(os.close, root)
        fd = beneath.open_beneath(root, path, beneath.FOLDER, resolve=beneath.STRAIGHT)
        held.callback(os.close, fd)
        tree = mounts.copy(fd)
    mounts.change(tree, propagation=Propagation.PRIVATE)
    return tree


def _mount(spec: Spec, one: Mount, bundle: Path, ids: Ids | None) -> int:
    options = parse(one.options)
    try:
        if one.is_bind:
            return copied(one, options, bundle, ids)
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


def _root(place: Path, overlay: Overlay | None, ids: Ids) -> int:
    """Make the container's root. On disk, files of an overlay keep the ids of the inside."""
    if overlay is None:
        return rootfs.copied(place)
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
