"""The rows of ``ps``."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from minirt.container import alive, amounts, lifecycle, published, record
from minirt.container.lifecycle import SHORT
from minirt.container.record import Record
from minirt.container.tables import shortened
from minirt.container.templates.values import Fields, quoted
from minirt.container.times import ago, duration, plain, seconds
from minirt.errors import NotFound
from minirt.kernel import descent
from minirt.kernel.descent import Descent

MOST_LINKED = 100_000  # files with several names that are counted once
LONGEST_COMMAND = 20  # characters, as Docker cuts it
HEADERS = {
    "ID": "CONTAINER ID",
    "Image": "IMAGE",
    "Command": "COMMAND",
    "CreatedAt": "CREATED AT",
    "RunningFor": "CREATED",
    "Ports": "PORTS",
    "State": "STATE",
    "Status": "STATUS",
    "Size": "SIZE",
    "Names": "NAMES",
    "Labels": "LABELS",
    "Mounts": "MOUNTS",
    "LocalVolumes": "LOCAL VOLUMES",
    "Networks": "NETWORKS",
}
COLUMNS = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")


class Row(Fields):
    """A container in a list; what is costly to find out is a function."""

    go_type = "*formatter.ContainerContext"


def row(one: Record, *, cut: bool = True) -> Row:
    """Return the fields of a container, cut to Docker's widths unless told otherwise."""
    command = _command_line([*one.config.entrypoint, *one.config.command])
    labels = one.config.labels
    mounts = [mount.name or mount.source for mount in one.mounts]
    fields = Row(
        ID=one.id[:SHORT] if cut else one.id,
        Image=one.image,
        Command=quoted(shortened(command, LONGEST_COMMAND) if cut else command),
        CreatedAt=plain(one.created),
        RunningFor=ago(one.created),
        Ports=lambda: published.summary(one),
        State=lifecycle.status(one),
        Status=status_line(one),
        Size=lambda: _sizes(one),
        Names=one.name,
        Labels=",".join(f"{key}={value}" for key, value in labels.items()),
        Mounts=",".join(shortened(mount, 15) if cut else mount for mount in mounts),
        LocalVolumes=str(sum(mount.kind == "volume" for mount in one.mounts)),
        Networks=",".join(networks(one)),
    )
    fields.labels = labels
    return fields


def _command_line(words: list[str]) -> str:
    """Return the words as Docker joins them: arguments with a space in single quotes."""
    program, *arguments = words or [""]
    return " ".join([program, *(f"'{word}'" if " " in word else word for word in arguments)])


def status_line(one: Record) -> str:
    """Return "Up 3 seconds", "Up 3 seconds (Paused)", "Exited (0) 2 minutes ago" or "Created"."""
    status, last = lifecycle.status(one), lifecycle.last_run(one)
    if status in ("running", "paused"):
        since = f"Up {duration(time.time() - seconds(last.started))}" if last.started else "Up"
        return f"{since} (Paused)" if status == "paused" else since
    if status == "created":
        return "Created"
    return f"Exited ({last.exit_code}) {ago(last.finished or last.started)}"


def networks(one: Record) -> list[str]:
    """Return the names of its networks; "host" and "none" count as such."""
    names = dict.fromkeys(request.network for request in one.endpoints)
    if alive.is_held(one.id):
        names |= dict.fromkeys(record.load_endpoints(one.id))
    mode = one.host.network_mode
    return list(names) or ([mode] if mode in ("host", "none") else [])


def size(one: Record) -> int:
    """Return the bytes of its own files."""
    return bytes_below(record.directory(one.id) / "upper")


def image_size(one: Record) -> int:
    """Return the bytes of its image's files; 0 if the image was removed by force."""
    from minirt.images import store

    try:
        return store.find(one.image_id).size
    except NotFound:
        return 0


def _sizes(one: Record) -> str:
    own = size(one)
    return f"{amounts.decimal(own, 3)} (virtual {amounts.decimal(own + image_size(one), 3)})"


def bytes_below(folder: Path) -> int:
    """Return the bytes of all files in a folder, 0 if it is not there.

    As Docker counts, hard links count once, as far as :data:`MOST_LINKED` files can be remembered.
    A container may be changing them. Not counted is what lies below :data:`descent.DEEPEST`
    levels, and what would come after a directory that is moved while it is looked at.
    """
    try:
        walk = descent.of_path(folder)
    except FileNotFoundError:
        return 0
    with closing(walk):
        return _bytes_of(walk)


def _bytes_of(walk: Descent) -> int:
    total, linked = 0, set[int]()
    while (name := walk.next_name()) is not None or walk.depth:
        if name is None:
            try:
                walk.leave()
            except OSError:
                break
            continue
        try:
            child = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=walk.fd)
        except FileNotFoundError:
            continue
        try:
            status = os.fstat(child)
            if not stat.S_ISDIR(status.st_mode):
                total += 0 if status.st_ino in linked else status.st_size
                if status.st_nlink > 1 and len(linked) < MOST_LINKED:
                    linked.add(status.st_ino)
            elif walk.depth < descent.DEEPEST:
                walk.enter(child)
        finally:
            os.close(child)
    return total


def last_created(records: Iterable[Record], number: int) -> list[Record]:
    """Return the ``number`` newest containers, whether they run or not."""
    return sorted(records, key=lambda one: one.created, reverse=True)[:number]
