"""Lists of ``KEY=VALUE``: environment variables and labels, from flags and from files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from minirt.container.flags.typed import refused
from minirt.errors import InvalidRequest


def variables(files: Iterable[str], words: Iterable[str], outside: Mapping[str, str]) -> list[str]:
    """Read ``--env-file`` and ``--env``, files first, so that flags have the last word.

    A name alone takes its value from ``outside``, the caller's environment; where that
    has none it stays alone, which means: take it out of the image's environment.

    Raises InvalidRequest.
    """
    lines = [line for file in files for line in _lines_of(file, "--env-file")]
    for word in words:
        if not word.partition("=")[0] or "\0" in word:
            raise refused(
                "--env", word, "invalid environment variable", "Write it like NAME=value."
            )
        lines.append(word)
    return [
        f"{line}={outside[line]}" if "=" not in line and line in outside else line for line in lines
    ]


def labels(files: Iterable[str], words: Iterable[str]) -> dict[str, str]:
    """Read ``--label-file`` and ``--label``: a name alone is a label without a value.

    Raises InvalidRequest.
    """
    lines = [line for file in files for line in _lines_of(file, "--label-file")]
    for word in words:
        if not word.partition("=")[0]:
            raise refused("--label", word, "a label needs a name", "Write it like name=value.")
        lines.append(word)
    return {line.partition("=")[0]: line.partition("=")[2] for line in lines}


def overridden(below: Iterable[str], above: Iterable[str]) -> list[str]:
    """Lay one environment over another: by name, the last one wins, a name alone removes."""
    merged: dict[str, str] = {}
    for line in [*below, *above]:
        name, equals, _ = line.partition("=")
        if equals:
            merged[name] = line
        else:
            merged.pop(name, None)
    return list(merged.values())


def _lines_of(file: str, flag: str) -> list[str]:
    """Read a file in Docker's format: a comment needs a line of its own, quotes are kept."""
    try:
        text = Path(file).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise refused(flag, file, error.strerror or str(error)) from None
    except UnicodeDecodeError as error:
        bad_line = error.object[: error.start].count(b"\n") + 1
        raise refused(flag, file, f"invalid utf8 bytes at line {bad_line}") from None
    stripped = [line.removesuffix("\r").lstrip() for line in text.split("\n")]
    found = [(number, line) for number, line in enumerate(stripped, 1) if line and line[0] != "#"]
    for number, line in found:
        _check_name(line, f"{file}:{number}", flag)
    return [line for _, line in found]


def _check_name(line: str, place: str, flag: str) -> None:
    name = line.partition("=")[0]
    if not name:
        raise InvalidRequest(
            f"Invalid line in {flag} {place}", f"no variable name on line '{line}'"
        )
    if any(character.isspace() for character in name):
        why = f"variable '{name}' contains whitespaces"
        raise InvalidRequest(f"Invalid line in {flag} {place}", why, "Write NAME=value.")
    if "\0" in line:
        raise InvalidRequest(f"Invalid line in {flag} {place}", "it contains a NUL byte")
