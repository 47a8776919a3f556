"""What a template is made of, once it is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Text:
    """Text that is printed as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class Dot:
    """``.``: the data at hand."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A string, a number, true, false or nil."""

    value: Any


@dataclass(frozen=True, slots=True)
class Chain:
    """``.A.B``, ``$x.A``, ``(…).A``: fields of something."""

    base: Operand
    names: tuple[str, ...]
    position: int
    source: str


@dataclass(frozen=True, slots=True)
class Variable:
    """``$x``; ``$`` is the data as it was given."""

    name: str


@dataclass(frozen=True, slots=True)
class Function:
    """The name of a function."""

    name: str
    position: int


@dataclass(frozen=True, slots=True)
class Command:
    """``printf "%s" .Name``: an operand, or a function with its arguments."""

    words: tuple[Operand, ...]
    position: int
    source: str


@dataclass(frozen=True, slots=True)
class Pipeline:
    """``$x := A | B``: commands, each result the last argument of the next."""

    commands: tuple[Command, ...]
    variables: tuple[str, ...] = ()
    declares: bool = True  # ":=" and not "="


@dataclass(frozen=True, slots=True)
class Action:
    """A pipeline whose result is printed, unless it goes into a variable."""

    pipeline: Pipeline


@dataclass(frozen=True, slots=True)
class Block:
    """``if``, ``with`` or ``range``, with what follows ``else``."""

    kind: str
    pipeline: Pipeline
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Jump:
    """``break`` or ``continue``."""

    kind: str


Operand = Dot | Literal | Chain | Variable | Function | Pipeline
Node = Text | Action | Block | Jump
