"""/sys/fs/cgroup as the container sees it: its own groups (config-linux.md, "Cgroups").

Of version 2 that is one file system. Of version 1 it is a tmpfs with a folder for each
hierarchy, and a symlink for each controller that shares one.
"""

from __future__ import annotations

import os
from pathlib import Path

from minirt.kernel import beneath, cgroups, mounts
from minirt.kernel.beneath import Below, Shown
from minirt.kernel.cgroup_mounts import Hierarchy
from minirt.kernel.mounts import Attribute, Propagation
from minirt.kernel.steps import step

_SAFE = Attribute.NOSUID | Attribute.NODEV | Attribute.NOEXEC


def mount(target: int, attributes: Attribute) -> None:
    """Mount the view; the calling process is in its cgroup already. Raises OSError."""
    old = [one for one in cgroups.mounted() if one.version == 1]
    if not old:
        told = ("-t", "cgroup2", "-o", ",".join(mounts.words(attributes) or ["rw"]))
        with step("show the container its cgroup", "mount", *told, "cgroup", Shown(target)):
            _attach(mounts.new("cgroup2", (), attributes, "cgroup"), target)
        return
    writable = attributes & ~Attribute.RDONLY
    told = ("-t", "tmpfs", "-o", ",".join([*mounts.words(writable), "mode=755"]))
    with step("make room for cgroups", "mount", *told, "cgroup", Shown(target)):
        room = mounts.new("tmpfs", ("mode=755",), writable, "cgroup")
        mounts.attach(room, target)
    try:
        own = _own_groups()
        for one in old:
            _show(room, one, own, attributes)
        if Attribute.RDONLY in attributes:
            with step("forbid to write there", "mount", "-o", "remount,bind,ro", Shown(room)):
                mounts.change(room, add=Attribute.RDONLY)
    finally:
        os.close(room)


def _show(room: int, one: Hierarchy, own: dict[frozenset[str], str], attributes: Attribute) -> None:
    """Bind the group of one hierarchy, and link the names of its controllers to it."""
    group = own.get(one.controllers)
    if group is None:
        return
    name = one.top.name
    with step("make a folder", "mkdir", Below(room, name)):
        os.mkdir(name, dir_fd=room)
    folder = os.open(name, beneath.FOLDER, dir_fd=room)
    try:
        _attach(_tree(one, group, Shown(folder), attributes | _SAFE), folder)
        names = {text.removeprefix("name=") for text in one.controllers}
        for link in sorted(names - {name}):
            with step("name the cgroup too", "ln", "-s", name, Below(room, link)):
                os.symlink(name, link, dir_fd=room)
    finally:
        os.close(folder)


def _tree(one: Hierarchy, group: str, place: Shown, attributes: Attribute) -> int:
    """Return a mount of the process's group and what is below it, and no more.

    A cgroup namespace calls its own group "/", and so does a file system that is mounted in it;
    to bind the host's "/" would show the groups of all others. Without a namespace it is the
    other way round: only a bind shows a part.
    """
    if group == "/":
        names = sorted(one.controllers)
        told = ("-t", "cgroup", "-o", ",".join([*mounts.words(attributes), *names]))
        with step("show the container its cgroup", "mount", *told, "cgroup", place):
            return mounts.new("cgroup", names, attributes, "cgroup")
    source = one.top / group.lstrip("/")
    told = ("--bind", "--make-private", "-o", ",".join(mounts.words(attributes)))
    with step("show the container its cgroup", "mount", *told, source, place):
        fd = os.open(source, beneath.FOLDER)
        try:
            tree = mounts.copy(fd)
        finally:
            os.close(fd)
        mounts.change(tree, add=attributes, propagation=Propagation.PRIVATE)
        return tree


def _attach(mount: int, target: int) -> None:
    try:
        mounts.attach(mount, target)
    finally:
        os.close(mount)


def _lines_of(path: str) -> list[str]:
    """Return lines of the kernel's; a group's name may have a carriage return, and more."""
    return os.fsdecode(Path(path).read_bytes()).rstrip("\n").split("\n")


def _own_groups() -> dict[frozenset[str], str]:
    """Return this process's group in each hierarchy of version 1 (cgroups(7), /proc/pid/cgroup)."""
    found = {}
    for line in _lines_of("/proc/self/cgroup"):
        _, names, group = line.split(":", 2)
        found[frozenset(names.split(","))] = group
    return found
