"""Reading and writing the files of cgroups.

The kernel says no at the write(2), and takes one value per write(2). Python's buffered files
write when they are closed, where an error is easily lost: hence plain descriptors here.
"""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from minirt.kernel.steps import Shell, step

# ENODEV: the group was removed between our open(2) and our read(2) or write(2).
GONE = (errno.ENOENT, errno.ENODEV)


def write(title: str, file: Path, value: str | int) -> None:
    """Write one value into one file, and tell it. Raises OSError with the file's name."""
    with step(title, "sh", "-c", f"echo {shlex.quote(str(value))} > {shlex.quote(str(file))}"):
        _put(file, str(value))


def write_each(title: str, file: Path, values: Sequence[str]) -> None:
    """Write values into one file, one after the other. Raises OSError with the file's name."""
    loop = 'for value do echo "$value"; done > "$0"'
    with step(title, "sh", "-c", loop, file, *values):
        _put(file, *values)


def write_to_all(title: str, value: str, files: list[Path], told: str | Shell = "") -> None:
    """Write the same value into several files; ``told`` is how the story writes the value."""
    with step(title, "echo", told or value, Shell("|"), "tee", *files):
        for file in files:
            _put(file, value)


def read(file: Path) -> str:
    """Return what a file says, without the newline; "" if there is no such file any more."""
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError as error:
        if error.errno in GONE:
            return ""
        raise


def number(file: Path) -> int | None:
    """Return the number in a file; None if there is no file, or no limit ("max")."""
    text = read(file)
    return int(text) if text.lstrip("-").isdigit() else None


def fields(file: Path) -> dict[str, int]:
    """Return a file of "key number" lines (memory.stat, cgroup.events, cpu.stat, …)."""
    pairs = (line.split() for line in read(file).splitlines())
    return {words[0]: int(words[1]) for words in pairs if len(words) == 2 and words[1].isdigit()}


def _put(file: Path, *values: str) -> None:
    fd = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
    try:
        for value in values:
            os.write(fd, value.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(file)) from None
    finally:
        os.close(fd)
