"""How the steps of all processes of a command become one story on standard error.

Each process writes its steps into one pipe; the command shows what has come in when the
container's gate has opened, and at its own end, in the order in which the steps began.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from collections.abc import Callable

from minirt.explain import waterfall
from minirt.explain.shorten import shorten
from minirt.kernel import steps
from minirt.kernel.steps import Step

_ROOM = 1 << 20  # bytes: some thousand steps, so that nobody ever waits for the reader


def begin() -> Callable[[], None]:
    """Tell every step from here on, also those of children; return what ends the story."""
    known: dict[str, str] = {}

    def show(told: list[Step]) -> None:
        sys.stderr.write(render(told, known))
        sys.stderr.flush()

    return _gather(show)


def measure() -> Callable[[], None]:
    """Draw a waterfall of all steps at the end; return what ends it."""
    began = time.monotonic()
    so_far: list[Step] = []
    gather = _gather(so_far.extend)

    def end() -> None:
        gather()
        told = sorted(so_far, key=lambda one: one.began)
        sys.stderr.write(waterfall.render(told, began, time.monotonic()))

    return end


def _gather(receive: Callable[[list[Step]], object]) -> Callable[[], None]:
    """Send steps into a pipe; return what hands over those that have come in."""
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _ROOM)
    except PermissionError:
        pass  # Above /proc/sys/fs/pipe-max-size, without CAP_SYS_RESOURCE: the usual 64 KiB do.

    def show() -> None:
        receive(sorted(_received(reader), key=lambda one: one.began))

    steps.write_to(writer, show)
    return show


def render(told: list[Step], known: dict[str, str]) -> str:
    """Return steps, two lines each: what happened, and what one would type for it.

    ``known`` are the variables that earlier parts of the story have set.
    """
    variables, commands = shorten([step.command for step in told])
    lines = [
        f"{'':20}$ {name}={value}\n"
        for name, value in variables.items()
        if known.get(name) != value
    ]
    known.update(variables)
    for step, command in zip(told, commands, strict=True):
        outcome = "FAILED" if step.failed else f"{step.seconds * 1000:.2f} ms"
        lines.append(f"{step.actor:>8} {outcome:>9}  {step.title}\n{'':20}$ {command}\n")
    return "".join(lines)


def _received(reader: int) -> list[Step]:
    data = b""
    while True:
        try:
            piece = os.read(reader, _ROOM)
        except BlockingIOError:
            break
        if not piece:
            break
        data += piece
    return [Step(**json.loads(line)) for line in data.splitlines()]
