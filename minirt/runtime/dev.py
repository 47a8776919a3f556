"""/dev: the nodes and links that every program expects (config-linux.md, "Default Devices")."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping

from minirt.errors import InvalidRequest
from minirt.kernel import beneath, devices, terminals
from minirt.runtime.spec import Device, Mount, Process

# Documentation/admin-guide/devices.txt
_DEFAULTS = (
    Device("/dev/null", "c", 1, 3),
    Device("/dev/zero", "c", 1, 5),
    Device("/dev/full", "c", 1, 7),
    Device("/dev/random", "c", 1, 8),
    Device("/dev/urandom", "c", 1, 9),
    Device("/dev/tty", "c", 5, 0),
)
_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}


def is_own(mounts: Iterable[Mount]) -> bool:
    """Say whether /dev is the container's: the operator may have mounted the host's there."""
    return not any(one.is_bind and one.place == "/dev" for one in mounts)


def fill(
    root: int,
    asked: tuple[Device, ...],
    made: Mapping[str, int],
    lead_astray: Callable[[str, str], str],
) -> None:
    """Make the default nodes, those that were asked for, and the links.

    ``made`` are mounts of nodes that were made outside, by their paths; they are closed.
    ``lead_astray`` is from ``mount_table.Mounted``. Raises InvalidRequest, OSError.
    """
    for one in {device.path: device for device in (*_DEFAULTS, *asked)}.values():
        path = os.path.normpath(one.path)
        place, name = os.path.split(path)
        if place == "/dev" and name in _LINKS:
            continue  # The terminals are those of its own devpts, whatever node is asked for.
        if destination := lead_astray(path, path):
            why = f"a symlink of the image leads the mount for {destination} to that place"
            raise InvalidRequest(f"Cannot make the device {path}", why)
        folder = _folder(root, place)
        try:
            if one.path in made:
                devices.show(made[one.path], folder, path)
                continue
            number, owner = (one.major, one.minor), (one.uid, one.gid)
            devices.make(folder, path, one.kind, number, one.mode, owner)
        finally:
            os.close(folder)
    folder = _folder(root, "/dev")
    try:
        for name, target in _LINKS.items():
            devices.link(folder, name, target)
        if os.access("/proc/kcore", os.F_OK):
            devices.link(folder, "core", "/proc/kcore")
    finally:
        os.close(folder)
        for tree in made.values():
            os.close(tree)


def open_console(root: int, process: Process, own_descriptors: int) -> tuple[int, int]:
    """Open the container's terminal; return its master and its slave."""
    try:
        master, slave = terminals.open_pair(root, own_descriptors)
    except OSError as error:
        why = error.strerror or os.strerror(error.errno or 0)
        raise InvalidRequest("Cannot open a terminal in /dev/pts", why) from error
    if process.console_size:
        terminals.set_size(master, *process.console_size)
    os.fchown(slave, process.user.uid, -1)  # The group stays as devpts has it: tty.
    return master, slave


def take_console(root: int, process: Process, own_descriptors: int, *, shown: bool) -> int:
    """Open the terminal, as standard streams and as /dev/console; return its master."""
    master, slave = open_console(root, process, own_descriptors)
    if shown:
        _show_console(root, slave)
    become_stdio(slave)
    terminals.take_control(0)
    return master


def become_stdio(slave: int) -> None:
    """Let the terminal be the standard streams; closes ``slave``."""
    for number in (0, 1, 2):
        os.dup2(slave, number)
    os.close(slave)


def _show_console(root: int, slave: int) -> None:
    """Show the terminal as /dev/console."""
    folder = _folder(root, "/dev")
    try:
        terminals.show_at(slave, folder, "console")
    finally:
        os.close(folder)


def _folder(root: int, path: str) -> int:
    """Open a folder of /dev. A symlink on the way would lead out of what we have mounted."""
    try:
        return beneath.open_beneath(root, path, beneath.FOLDER, resolve=beneath.STRAIGHT)
    except FileNotFoundError:
        return beneath.make_directories(root, path)
    except OSError as error:
        why = "the image has a symlink, or no folder, in that place"
        raise InvalidRequest(f"Cannot make devices in {path}", why) from error
