"""Every change to the kernel's state, told as a step that a reader could type in a shell.

The sink is ``None`` unless somebody asked for the story; then a step costs one
comparison, and its command is never even formatted.

Who asks where the time goes is told of *phases*, too: of what takes time and changes nothing.
"""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass


class Shell(str):
    """Words that a shell is to read as they stand: ``Shell("$INIT")``, a pipe, an ``&``."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was done: what for, how to type it, who did it, how long it took."""

    actor: str  # "command", "monitor", "init", …
    title: str  # constant for each kind of step: tests and timings call steps by it
    command: str  # "": it is a phase
    began: float  # seconds of the monotonic clock, which all processes share
    seconds: float
    failed: bool = False


Sink = Callable[[Step], None]

_sink: Sink | None = None
_descriptor: int | None = None
_show: Callable[[], None] | None = None
_has_phases = False
_actor = "command"
_past: list[Step] = []


def send_to(
    sink: Sink | None, descriptor: int | None = None, show: Callable[[], None] | None = None
) -> None:
    """Send the steps of this process, and of its future children, to ``sink``.

    ``descriptor`` is what the sink writes to, so that a child that closes all others keeps it;
    ``show`` tells what has come in so far.
    """
    global _sink, _descriptor, _show, _has_phases
    _sink, _descriptor, _show, _has_phases = sink, descriptor, show, False


def write_to(
    descriptor: int, show: Callable[[], None] | None = None, *, phases: bool = False
) -> None:
    """Send steps into a pipe, a line of JSON each, and ``phases`` if that is wanted.

    ``show`` is as for :func:`send_to`.
    """
    global _has_phases
    send_to(_write, descriptor, show)
    _has_phases = phases


def _write(step: Step) -> None:
    assert _descriptor is not None
    try:
        os.write(_descriptor, json.dumps(asdict(step)).encode() + b"\n")
    except OSError:
        pass  # The pipe is full or its reader gone: a story must not stop what it tells.


def pipe() -> int | None:
    """Return what :func:`write_to` got, for a process that was not forked from this one."""
    return _descriptor if _sink is _write else None


def pipe_of_phases() -> int | None:
    """Return the same if phases are told, for a process that works on when the gate is open."""
    return pipe() if _has_phases else None


def descriptors() -> set[int]:
    """Return what must stay open for steps to be told."""
    return set() if _descriptor is None else {_descriptor}


def show() -> None:
    """Tell the reader what all processes have sent so far."""
    if _show is not None:
        _show()


def fall_silent() -> None:
    """Tell nothing more from this process: the story is over when all have said so."""
    if _descriptor is not None:
        os.close(_descriptor)
    send_to(None)


def speak_as(actor: str) -> None:
    """Name this process in its steps from here on."""
    global _actor
    _actor = actor


@contextmanager
def in_the_name_of(actor: str) -> Iterator[None]:
    """Tell what another process does while this one waits for it, and which tells nothing."""
    before = _actor
    speak_as(actor)
    try:
        yield
    finally:
        speak_as(before)


def step(title: str, *words: object) -> AbstractContextManager[None]:
    """Tell the body as one step; ``words`` are the command that does the same by hand."""
    if _sink is None:
        return nullcontext()
    return _told(_sink, title, words)


def phase(title: str) -> AbstractContextManager[None]:
    """Tell the body as a phase."""
    if _sink is None or not _has_phases:
        return nullcontext()
    return _told(_sink, title, ())


def remember(actor: str, title: str, began: float, ended: float) -> None:
    """Keep a phase that was over before anybody could ask for it; monotonic seconds."""
    _past.append(Step(actor, title, "", began, ended - began))


def past() -> list[Step]:
    """Return what was remembered."""
    return _past


def announce(title: str, *words: object) -> None:
    """Tell a step that cannot be told afterwards, such as execve(2)."""
    if _sink is not None:
        _sink(Step(_actor, title, in_shell(words), time.monotonic(), 0.0))


def in_shell(words: tuple[object, ...]) -> str:
    """Join words into a line for sh(1), quoting all but :class:`Shell` pieces."""
    return " ".join(word if isinstance(word, Shell) else shlex.quote(str(word)) for word in words)


@contextmanager
def _told(sink: Sink, title: str, words: tuple[object, ...]) -> Iterator[None]:
    began = time.monotonic()
    failed = True
    try:
        yield
        failed = False
    finally:
        seconds = time.monotonic() - began
        sink(Step(_actor, title, in_shell(words), began, seconds, failed))
