"""A container in a mount namespace that exists already: the caller's, or one given by its path.

Everything is mounted in a copy of that namespace first, where nobody sees it and from where it goes
with init if that dies. Only the finished tree is brought back, as a copy that hangs on one mount:

    ROOTFS              what the caller has there
      floor             an empty, private tmpfs; its source is "minirt-oci:ID"
        tree            the root of the container, and all that is mounted below it

The floor has two uses. Nothing that is attached to a private mount travels to other namespaces,
even if the host's "/" is shared; and its name says what ``delete`` has to detach.

In the caller's namespace init changes its root by chroot(2): pivot_root(2) would replace the root
of the host itself. A process that has CAP_SYS_CHROOT, or may enter mount namespaces, finds the way
back to the host's "/" (chroot(2), NOTES). In a namespace given by its path init pivots, as with
runc and crun: that namespace has no other root any more.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from minirt.errors import InvalidRequest
from minirt.kernel import libc, mount_info, mounts, namespaces
from minirt.kernel.beneath import Shown
from minirt.kernel.mounts import Attribute, Propagation
from minirt.kernel.namespaces import Namespace
from minirt.kernel.steps import Shell, step
from minirt.runtime import joining, rootfs
from minirt.runtime.spec import Spec

_OWN = "/proc/self/ns/mnt"
_HOST = "/proc/1/ns/mnt"


@dataclass(frozen=True, slots=True)
class Home:
    """The namespace where the container belongs, and the folder there that its root covers."""

    namespace: int
    folder: int
    pivots: bool

    def path(self) -> str:
        """Return the path of the namespace, for this process."""
        return f"/proc/self/fd/{self.namespace}"

    def close(self) -> None:
        """Close both descriptors."""
        os.close(self.namespace)
        os.close(self.folder)


def leave(spec: Spec, place: Path) -> Home:
    """Enter the namespace of the config, remember it, and go on in a copy of it.

    ``place`` is the path of the root file system in that namespace. Raises InvalidRequest, OSError.
    """
    path = spec.namespaces.get(Namespace.MOUNT, "")
    pivots = bool(path) and not _is_same(path, _OWN)
    if pivots and _is_same(path, _HOST):
        why = "that is process 1's, and the root of the host would be replaced"
        raise InvalidRequest(f"Cannot join the namespace {path}", why)
    namespace = os.open(path if pivots else _OWN, joining.WITHOUT_WAITING)
    if pivots:
        joining.join(Namespace.MOUNT, path)
    try:
        folder = rootfs.opened(place)
    except OSError as error:
        raise InvalidRequest(f"root.path: {place}", os.strerror(error.errno or 0)) from error
    namespaces.unshare(Namespace.MOUNT)
    return Home(namespace, folder, pivots)


def _is_same(path: str, other: str) -> bool:
    """Say whether two paths name the same namespace; a missing path names none."""
    try:
        return Path(path).samefile(other)
    except OSError:
        return False


def come_back(home: Home, root: int, identifier: str, propagation: Propagation) -> None:
    """Bring the finished tree at ``root`` into the namespace of ``home``, and make it the root."""
    tree = mounts.copy(root, recursive=True)
    with step("go back to the mounts that are shared", "nsenter", "--mount", Shell('"$@"')):
        libc.setns(home.namespace, Namespace.MOUNT)
    if home.pivots:
        mounts.hide_from_parent()
    name = name_of(identifier)
    floor = mounts.new("tmpfs", ("mode=0700", "nr_inodes=2"), Attribute.RDONLY, name)
    place = Shown(home.folder)
    with step("attach a private mount below the root", "mount", "-t", "tmpfs", name, place):
        mounts.attach(floor, home.folder)
        mounts.change(floor, propagation=Propagation.PRIVATE)
    with step("attach the finished root", "mount", "--move", Shown(tree), place):
        mounts.attach(tree, floor)
    os.close(floor)
    if home.pivots:
        mounts.pivot(tree, place, propagation)
    else:
        mounts.change_root(tree, place, propagation)
    os.close(tree)
    home.close()


def name_of(identifier: str) -> str:
    """Return what a container's floor is called in /proc/PID/mountinfo."""
    return f"minirt-oci:{identifier}"


def detach(rootfs: str, identifier: str) -> None:
    """Detach what :func:`come_back` has attached for a container, if it is there.

    Mounts on top go with it: those of the container itself too. Raises OSError.
    """
    place, name = os.path.realpath(rootfs), name_of(identifier)
    while name in mount_info.sources_at(place):
        with step("detach the root of the container", "umount", "--lazy", place):
            libc.umount2(place, mounts.DETACH | mounts.NO_FOLLOW)
