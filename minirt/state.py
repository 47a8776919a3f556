"""Where minirt keeps its files, and how it writes them.

Files are the truth: nothing is cached between two commands. What must survive a reboot
lives under the root directory, what must not under the run directory.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from functools import cache
from pathlib import Path
from typing import Any

from minirt.errors import InvalidRequest, in_quotes

# Docker's rule for names, with its limit removed and one of our own: a file name is at
# most 255 bytes (NAME_MAX), and a name also becomes one.
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+", re.ASCII)
LONGEST_NAME = 128

_MOST_LINKS = 40  # symlinks on the way to a folder, as for the kernel (path_resolution(7))


def root_dir() -> Path:
    """Return the persistent directory (hier(7): /var/lib)."""
    return _path(os.environ.get("MINIRT_ROOT") or "/var/lib/minirt")


def run_dir() -> Path:
    """Return the volatile directory, empty after a boot (hier(7): /run)."""
    return _path(os.environ.get("MINIRT_RUNROOT") or "/run/minirt")


@cache
def _path(text: str) -> Path:
    return Path(text)  # asked for fifty times in a "run"; what it finds out it keeps


def check_own(folder: Path, name: str) -> None:
    """Check that only root decides what is in ``folder``; ``name`` is what chose it.

    Another user who can write to it, or to a folder above it, can put a server, a container or a
    compiled filter of their own there. Every component of the path counts, and of each symlink on
    the way: its owner must be root or this process's user, and nobody else may write to it. Above
    ``folder`` the sticky bit is enough (/tmp), since it keeps others from replacing what is ours.
    A folder that is missing there is made at once, before another user does.

    Raises InvalidRequest.
    """
    trusted = (0, os.geteuid())
    path = os.path.abspath(folder)  # noqa: PTH100 - a Path takes ten times as long
    left = [*path.split("/")[::-1], "/"]  # The next component is the last.
    shared = False  # Others may make files in ``path``, and not replace ours.
    links = 0
    while left:
        part = left.pop()
        if part in ("", "."):
            continue
        above = os.path.dirname(path) if part == ".." else f"{path.rstrip('/')}/{part}"  # noqa: PTH120
        here = "/" if part == "/" else above
        try:
            found = os.lstat(here)
        except FileNotFoundError:
            if not shared:
                return  # Whoever makes it is one of us.
            made(Path(here))
            found = os.lstat(here)
        except OSError as error:
            raise InvalidRequest(f"Cannot use {folder} as {name}", error.strerror or "") from None
        if found.st_uid not in trusted and (shared or not stat.S_ISLNK(found.st_mode)):
            why = f"{here} belongs to user {found.st_uid}, who could replace what is in there"
            remedy = f"Choose a folder below folders of root's, or: chown root {here}"
            raise InvalidRequest(f"{folder} is not safe as {name}", why, remedy)
        if stat.S_ISLNK(found.st_mode):
            links += 1
            if links > _MOST_LINKS:
                raise InvalidRequest(f"Cannot use {folder} as {name}", os.strerror(errno.ELOOP))
            target = os.readlink(here)  # noqa: PTH115
            left += [*target.split("/")[::-1], *(["/"] if target.startswith("/") else [])]
            continue
        writers = stat.S_IWOTH | (stat.S_IWGRP if found.st_gid else 0)
        path, shared = here, bool(found.st_mode & writers)
        if shared and not (left and found.st_mode & stat.S_ISVTX):
            why = f"other users may write to {here}"
            raise InvalidRequest(f"{folder} is not safe as {name}", why, f"Try: chmod go-w {here}")


def made(directory: Path) -> Path:
    """Return ``directory``, made if needed and closed to other users, as are its parents.

    (``parents=True`` would make those open.)
    """
    try:
        os.mkdir(directory, 0o700)  # noqa: PTH102 - Path looks again when it is there
    except FileExistsError:
        pass
    except FileNotFoundError:
        made(directory.parent)
        directory.mkdir(mode=0o700, exist_ok=True)
    return directory


def set_aside(folder: Path, top: Path) -> Path:
    """Take a folder out of sight at once, by a rename to TOP/trash; return where it is to delete.

    Raises FileNotFoundError if it is not there any more.
    """
    grave = top / "trash" / new_id()
    try:
        folder.rename(grave)
    except FileNotFoundError:
        made(grave.parent)  # It is not there yet.
        folder.rename(grave)
    return grave


def new_id() -> str:
    """Return 64 random hexadecimal digits: Docker's form of an id."""
    return os.urandom(32).hex()  # what the module secrets does, without its 5 ms of imports


def check_name(name: str, kind: str) -> str:
    """Return ``name`` if a ``kind`` ("container", "network", …) may bear it.

    Raises InvalidRequest.
    """
    if NAME.fullmatch(name) and len(name) <= LONGEST_NAME:
        return name
    raise InvalidRequest(
        f"Invalid {kind} name ({in_quotes(name[:80])})",
        f"only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed, from 2 to {LONGEST_NAME} characters",
    )


def names_in(folder: Path) -> list[str]:
    """Return the names of what is in a folder; none if it is not there."""
    try:
        return os.listdir(folder)  # noqa: PTH208 - a Path makes a Path of each
    except FileNotFoundError:
        return []


def in_lines(document: object, levels: int = 1) -> str:
    """Return JSON for people: a line for each member of so many upper levels.

    (``json.dumps(…, indent=2)`` has a line for each word, and is written in Python: for a
    config.json it takes 4 ms, and this with two levels 0.3.)
    """
    return _in_lines(document, levels, "") + "\n"


def _in_lines(document: object, depth: int, margin: str) -> str:
    if not (depth and document and isinstance(document, dict)):
        return json.dumps(document)
    inner = f"{margin}  "
    lines = [
        f"{inner}{json.dumps(key)}: {_in_lines(value, depth - 1, inner)}"
        for key, value in document.items()
    ]
    return "{\n" + ",\n".join(lines) + f"\n{margin}}}"


def write_json(path: Path, document: object, *, durable: bool = True, levels: int = 1) -> None:
    """Replace ``path`` at once: a reader sees the old document or the new, never a half.

    Only root can read it, whatever the umask and the folder: documents hold environments, and
    these hold passwords. ``levels`` is as for :func:`in_lines`. rename(2) is atomic; where
    ``durable``, two fsync(2) calls make it so across a power cut.
    """
    folder, name = os.path.split(path)
    scratch = f"{folder or '.'}/.{name}.{os.getpid()}"  # A Path would take as long as the rest.
    try:
        with open(scratch, "wb", opener=private) as file:
            file.write(in_lines(document, levels).encode())
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(scratch, path)  # noqa: PTH105
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise
    if durable:
        flush(path.parent)


def private(path: str | Path, flags: int) -> int:
    """Open a file that other users must not read (an opener for open())."""
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def read_json(path: Path) -> Any:
    """Read a document. Raises FileNotFoundError, ValueError."""
    return parse_json(path.read_bytes())


def parse_json(text: str | bytes) -> Any:
    """Read JSON. Raises ValueError, also for what is nested more deeply than Python can follow."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def flush(path: Path) -> None:
    """Write a file, or the names in a folder, to the disk: fsync(2)."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
