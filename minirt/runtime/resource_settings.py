"""One limit, as the files of a cgroup take it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Setting:
    """A value for a file; where kernels differ, the first of several files that exists."""

    what: str  # for messages: "a memory limit"
    choices: tuple[tuple[str, str], ...]  # file and value
    optional: bool = False  # nobody is told if the kernel has none of the files


def setting(what: str, file: str, value: object, *, optional: bool = False) -> Setting:
    """Return the plain kind: one file."""
    return Setting(what, ((file, str(value)),), optional)


def or_max(number: int) -> str:
    """Write "no limit" as the newer files want it."""
    return "max" if number < 0 else str(number)
