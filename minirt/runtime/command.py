"""Which file a command is, looked up as execvp(3) does, but by us and inside the container."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from minirt.errors import CommandNotFound, CommandNotRunnable, MinirtError

# What execvp(3) searches where there is no PATH: the value of confstr(_CS_PATH).
_DEFAULT_PATH = "/bin:/usr/bin"


def find(name: str, environment: Iterable[str]) -> str:
    """Return the path of the command. Raises CommandNotFound, CommandNotRunnable."""
    found: MinirtError | None = None
    for path in _candidates(name, environment):
        why = _obstacle(path)
        if why is None:
            return path
        if why and found is None:
            found = CommandNotRunnable(f"Cannot run {name}", f"{path} {why}")
    raise found or not_found(name)


def not_found(name: str) -> CommandNotFound:
    """Return the error for a command that does not exist."""
    if "/" in name:
        return CommandNotFound(f"Cannot run {name}", "there is no such file in the image")
    why = "no folder of the image's PATH has such a command"
    return CommandNotFound(f"Cannot run {name}", why)


def refused(name: str, error: OSError) -> MinirtError:
    """Return the error for a command that execve(2) refused."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        why = "the program that it names as its interpreter is not in the image"
        return CommandNotFound(f"Cannot run {name}", why)
    return CommandNotRunnable(f"Cannot run {name}", os.strerror(error.errno or 0).lower())


def refuse_own_binary(path: str) -> None:
    """Refuse to run the interpreter of the host, reached by /proc/self/exe (CVE-2019-5736).

    Only a check, and one that can be raced: for where there is no springboard. Raises
    CommandNotRunnable.
    """
    try:
        is_ours = Path(path).samefile("/proc/self/exe")
    except OSError:
        return
    if is_ours:
        raise CommandNotRunnable(f"Cannot run {path}", "it is minirt itself")


def _candidates(name: str, environment: Iterable[str]) -> Iterator[str]:
    if "/" in name:
        yield name
        return
    path = dict(word.split("=", 1) for word in environment).get("PATH", _DEFAULT_PATH)
    for folder in path.split(":"):
        if folder.startswith("/") and name:
            yield f"{folder.rstrip('/')}/{name}"


def _obstacle(path: str) -> str | None:
    """Say what keeps a file from being run: None if nothing, "" if it doesn't exist."""
    try:
        status = os.stat(path)  # noqa: PTH116 - for each folder of PATH
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        return f"cannot be opened ({os.strerror(error.errno or 0)})"
    if stat.S_ISDIR(status.st_mode):
        return "is a folder"
    if not stat.S_ISREG(status.st_mode):
        return "is no regular file"
    return None if status.st_mode & 0o111 else "is not executable"
