"""Long paths of a story, said once: as variables of the shell that a reader would type into."""

from __future__ import annotations

import re

# A variable for each kind of folder whose name holds a long id. The first match counts.
_FOLDERS = (
    (re.compile(r"/[^\s'\"=:,]*/containers/[0-9a-f]{64}/rootfs"), "ROOTFS"),
    (re.compile(r"/[^\s'\"=:,]*/containers/[0-9a-f]{64}"), "FOLDER"),
    (re.compile(r"/[^\s'\"=:,]*/layers/[0-9a-f]{64}"), "LAYER"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "ID"),
)
# What a "$" in quotes would mean is another question: such words stay as they are.
_QUOTED = re.compile(r"('(?:[^']*)')")
_INIT = re.compile(r"/proc/\d+/ns/")
BEARS_INIT = "INIT=$!"


def shorten(commands: list[str]) -> tuple[dict[str, str], list[str]]:
    """Return variables with their values, and the commands in which they are used.

    Where a command of the story starts init, its namespaces are named by ``$INIT``.
    """
    variables: dict[str, str] = {}
    bears_init = any(command.endswith(BEARS_INIT) for command in commands)
    short = [_shortened(command, variables, of_init=bears_init) for command in commands]
    return {name: value for value, name in variables.items()}, short


def _shortened(command: str, variables: dict[str, str], *, of_init: bool) -> str:
    pieces = _QUOTED.split(command)
    return "".join(
        piece if piece.startswith("'") else _replaced(piece, variables, of_init=of_init)
        for piece in pieces
    )


def _replaced(text: str, variables: dict[str, str], *, of_init: bool) -> str:
    for pattern, name in _FOLDERS:
        for value in dict.fromkeys(pattern.findall(text)):
            text = text.replace(value, _variable(value, name, variables))
    return _INIT.sub("/proc/$INIT/ns/", text) if of_init else text


def _variable(value: str, name: str, variables: dict[str, str]) -> str:
    """Return the variable that stands for ``value``; a second one of its kind gets a number."""
    if value not in variables:
        alike = sum(1 for known in variables.values() if known.rstrip("0123456789") == name)
        variables[value] = f"{name}{alike + 1}" if alike else name
    return f"${variables[value]}"
