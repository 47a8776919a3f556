"""A container's name: a symlink ROOT/names/NAME -> ID, since only one of a name can be made."""

from __future__ import annotations

import os
from pathlib import Path

from minirt.container import record
from minirt.errors import Conflict
from minirt.kernel import locks
from minirt.state import check_name, flush, made, root_dir


def claim(name: str, container_id: str) -> None:
    """Give ``name`` to a container whose record is written. Raises InvalidRequest, Conflict."""
    link = made(root_dir() / "names") / check_name(name, "container")
    try:
        link.symlink_to(container_id)
        return
    except FileExistsError:
        pass
    replacing = locks.acquire(root_dir() / "names.lock", wait=True)
    try:
        holder = owner(name)
        if holder:
            raise in_use(name, holder)
        link.unlink(missing_ok=True)  # Its container was removed half, or made half.
        link.symlink_to(container_id)
    finally:
        os.close(replacing)


def make_last() -> None:
    """Let names that were claimed outlive a power cut."""
    flush(root_dir() / "names")


def release(name: str, container_id: str) -> bool:
    """Take a name back, if it is still this container's; say whether it was."""
    link = root_dir() / "names" / name
    if not _is_of(link, container_id):
        return False
    link.unlink(missing_ok=True)
    return True


def take_along(name: str, container_id: str) -> bool:
    """Do the same, but leave the symlink in the container's folder, to be deleted with that.

    It fills a block, and to free one may wait for the disk (mount(8), "discard").
    """
    link = root_dir() / "names" / name
    if not _is_of(link, container_id):
        return False
    try:
        link.rename(record.directory(container_id) / "name")
    except FileNotFoundError:  # the folder, or since a moment ago the symlink
        return release(name, container_id)
    return True


def _is_of(link: Path, container_id: str) -> bool:
    try:
        return str(link.readlink()) == container_id
    except FileNotFoundError:
        return False


def sweep() -> None:
    """Remove names whose container was removed half, or made half."""
    if any(not owner(name) for name in owned()):
        replacing = locks.acquire(root_dir() / "names.lock", wait=True)
        try:
            for name, link in owned().items():
                if not owner(name):
                    link.unlink(missing_ok=True)
        finally:
            os.close(replacing)


def owner(name: str) -> str:
    """Return the id of the container that bears ``name``; "" if there is none."""
    try:
        container_id = str((root_dir() / "names" / name).readlink())
    except OSError:
        return ""
    return container_id if (record.directory(container_id) / "record.json").exists() else ""


def owned() -> dict[str, Path]:
    """Return all names with their symlinks."""
    folder = root_dir() / "names"
    return {link.name: link for link in folder.iterdir()} if folder.exists() else {}


def in_use(name: str, container_id: str) -> Conflict:
    """Say that a name is taken, by whom, and what to do."""
    return Conflict(
        f'The container name "{name}" is already in use',
        f"container {container_id[:12]} has it",
        "Remove or rename that container, or choose another name.",
    )
