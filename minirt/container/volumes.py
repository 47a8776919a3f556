"""Volumes: folders that outlive their containers.

    ROOT/volumes/NAME/volume.json   who it is
    ROOT/volumes/NAME/_data         what containers see
    ROOT/volumes/NAME/lock          held by who fills or removes it

A new one is made under another name and renamed, so nobody ever sees a half of it. Who uses
a volume is nowhere written down: the records of the containers tell.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from minirt.container import alive, lifecycle
from minirt.container.flags.mounts import destination
from minirt.container.log_writer import timestamp
from minirt.container.record import HostConfig, Mount, Record, known
from minirt.errors import Conflict, NotFound
from minirt.kernel import libc, locks, trees
from minirt.state import check_name, flush, made, new_id, read_json, root_dir, set_aside, write_json

FEW = 16  # volumes that are written to the disk one by one; more, all at once


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume, as its file tells it."""

    name: str
    created: str  # RFC 3339, with nanoseconds, in UTC
    labels: dict[str, str] = field(default_factory=dict)
    anonymous: bool = False  # made for one container, whose "rm -v" takes it along

    @property
    def data(self) -> Path:
        """Return the folder that containers see."""
        return place(self.name) / "_data"


def place(name: str) -> Path:
    """Return the folder of a volume."""
    return root_dir() / "volumes" / name


def find(name: str) -> Volume:
    """Return the volume of that name. Raises NotFound."""
    try:
        if "/" not in name and name not in ("", ".", ".."):
            return Volume(**known(Volume, read_json(place(name) / "volume.json")))
    except (FileNotFoundError, ValueError):
        pass
    raise NotFound(f"No such volume: {name}", "", "'minirt volume ls' lists them.")


def all_volumes() -> list[Volume]:
    """Return every volume, by name."""
    found = []
    for folder in sorted(root_dir().glob("volumes/[!.]*")):
        try:
            found.append(find(folder.name))
        except NotFound:
            continue  # It is being removed.
    return found


def create(name: str = "", labels: dict[str, str] | None = None) -> Volume:
    """Make a volume, or return the one that there is; without a name it is an anonymous one.

    Raises InvalidRequest.
    """
    return _made(name, labels or {})[0]


def _made(name: str, labels: dict[str, str], *, durable: bool = True) -> tuple[Volume, bool]:
    """Make a volume unless it is there; say whether it was made.

    Unless ``durable``, the caller writes it to the disk.
    """
    if name and (place(name) / "volume.json").exists():
        return find(name), False
    volume = Volume(check_name(name or new_id(), "volume"), timestamp(), labels, not name)
    scratch = made(root_dir() / "volumes") / f".{new_id()}"
    try:
        made(scratch)
        _make_data(scratch / "_data")
        write_json(scratch / "volume.json", asdict(volume), durable=durable)
        scratch.rename(place(volume.name))  # fails where a volume is: its folder isn't empty
    except OSError:
        if not (place(volume.name) / "volume.json").exists():
            raise
        return find(volume.name), False
    finally:
        trees.remove(scratch)
    if durable:
        flush(place(volume.name).parent)
    return volume, True


def _make_data(folder: Path) -> None:
    """Make the folder that containers see; their users may enter it, whatever the umask."""
    folder.mkdir()
    folder.chmod(0o755)


def users(name: str, records: Iterable[Record] | None = None) -> list[Record]:
    """Return the containers that have the volume, whether they run or not."""
    every = lifecycle.all_records() if records is None else records
    return [one for one in every if any(mount.name == name for mount in one.mounts)]


def remove(name: str) -> None:
    """Remove a volume and what is in it. Raises NotFound; Conflict if a container has it."""
    find(name)
    lock = locks.acquire(place(name) / "lock", wait=True)
    try:
        using = users(name)
        if using:
            ids = ", ".join(one.id for one in using)
            remedy = f"Remove that first: minirt rm {' '.join(one.name for one in using)}"
            raise Conflict(f"Cannot remove volume {name}", f"volume is in use - [{ids}]", remedy)
        grave = set_aside(place(name), root_dir())
    finally:
        os.close(lock)
    trees.remove(grave)


def remove_anonymous(one: Record) -> None:
    """Remove the volumes that were made for this container and that nobody else has."""
    if not any(mount.kind == "volume" for mount in one.mounts):
        return
    others = [other for other in lifecycle.all_records() if other.id != one.id]
    in_use = {mount.name for other in others for mount in other.mounts}
    graves = []
    for mount in one.mounts:
        try:
            if mount.kind == "volume" and mount.name not in in_use and find(mount.name).anonymous:
                graves.append(set_aside(place(mount.name), root_dir()))
        except (NotFound, FileNotFoundError):
            continue
    for grave in graves:
        trees.remove(grave)


def inherited(host: HostConfig, own: Sequence[Mount]) -> list[Mount]:
    """Return what ``--volumes-from`` adds: mounts of other containers, where none of ``own`` is.

    Raises NotFound.
    """
    found: dict[str, Mount] = {}
    for text in host.volumes_from:
        name, _, mode = text.partition(":")
        for mount in lifecycle.find(name).mounts:
            read_only = mount.read_only or mode == "ro"
            found.setdefault(mount.destination, replace(mount, read_only=read_only))
    taken = {*(mount.destination for mount in own), *host.tmpfs}
    return [mount for path, mount in found.items() if path not in taken]


def resolve(
    mounts: Sequence[Mount],
    image_volumes: Iterable[str],
    layers: tuple[Path, ...],
    covered: Iterable[str] = (),
) -> list[Mount]:
    """Return ``mounts`` with every volume there, and those that the image wants.

    A volume without content gets what the image has at its place, as with Docker. ``covered``
    are paths that get no volume of the image, since something else is mounted there. Raises
    InvalidRequest, KernelRefused, OSError; then no volume was made.
    """
    taken = {*(mount.destination for mount in mounts), *covered}
    # In their shortest form: "/x/../data" of an image must not cover the operator's "/data".
    paths = dict.fromkeys(destination(path, "VOLUME", path) for path in image_volumes)
    wanted = [Mount("volume", "", path) for path in paths]
    every = [*mounts, *(one for one in wanted if one.destination not in taken)]
    each_durable = len(every) <= FEW
    made_now: list[str] = []
    resolved = []
    try:
        for mount in every:
            if mount.kind != "volume":
                resolved.append(mount)
                continue
            # Before its container is recorded, an anonymous volume is nobody's: it may be lost.
            volume, new = _made(mount.name, {}, durable=each_durable or bool(mount.name))
            made_now += [volume.name] if new else []
            if "nocopy" not in mount.options:
                _fill(volume, mount.destination, layers, is_new=new and not mount.name)
            own = [option for option in mount.options if option != "nocopy"]
            resolved.append(replace(mount, source=str(volume.data), name=volume.name, options=own))
        if not each_durable and made_now:
            _flush_all()
    except BaseException:
        for name in made_now:
            trees.remove(place(name))
        raise
    return resolved


def _is_empty(volume: Volume) -> bool:
    """Say whether there is nothing in a volume; containers may have put a million names there."""
    with os.scandir(volume.data) as entries:
        return next(entries, None) is None


def _flush_all() -> None:
    """Write all volumes to the disk at once, syncfs(2): an image may want thousands of them."""
    fd = os.open(root_dir() / "volumes", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        libc.syscall("syncfs", fd)
    finally:
        os.close(fd)


def _fill(volume: Volume, path: str, layers: tuple[Path, ...], *, is_new: bool) -> None:
    """Copy what the image has at ``path`` into a volume that is empty and that nobody uses.

    A new one without a name of its own needs no lock: nobody else knows it.
    """
    if not _is_empty(volume):
        return
    from minirt.images.copy_up import copy_up

    if is_new:
        copy_up(layers, path, volume.data)
        return
    lock = locks.acquire(place(volume.name) / "lock", wait=True)
    scratch = place(volume.name) / ".filling"
    try:
        if not _is_empty(volume) or any(alive.is_held(u.id) for u in users(volume.name)):
            return
        trees.remove(scratch)
        _make_data(scratch)
        copy_up(layers, path, scratch)
        scratch.rename(volume.data)  # rename(2) replaces an empty folder at once
    finally:
        trees.remove(scratch)
        os.close(lock)
