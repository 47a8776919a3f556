"""How the steps of all processes of a command become one story on standard error.

Each process writes its steps into one pipe; the command shows what has come in when the
container's gate has opened, and at its own end, in the order in which the steps began.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import sys
import time
from collections.abc import Callable

from minirt.errors import clean
from minirt.explain import waterfall
from minirt.explain.shorten import shorten
from minirt.kernel import steps
from minirt.kernel.steps import Step

_PATIENCE = 1.0  # seconds for who tells of the end; a container may be left running
_ROOM = 1 << 20  # bytes: some thousand steps, so that nobody ever waits for the reader


def begin() -> Callable[[], None]:
    """Tell every step from here on, also those of children; return what ends the story."""
    known: dict[str, str] = {}
    reader, writer = _open_pipe()

    def show() -> None:
        told = sorted(_received(reader), key=lambda one: one.began)
        text = render(told, known)  # An image chooses some of its paths.
        sys.stderr.write(clean(text) if sys.stderr.isatty() else text)
        sys.stderr.flush()

    steps.write_to(writer, show)
    return show


def measure() -> Callable[[], None]:
    """Draw a waterfall of all steps and phases at the end; return what ends it.

    That waits for who takes down what there was, which nobody else waits for.
    """
    told = list(steps.past()) or [_own_start()]
    reader, writer = _open_pipe()
    steps.write_to(writer, lambda: told.extend(_received(reader)), phases=True)

    def end() -> None:
        answered = time.monotonic()
        steps.fall_silent()
        told.extend(_received(reader, until=answered + _PATIENCE))
        told.sort(key=lambda one: one.began)
        sys.stderr.write(waterfall.render(told, answered))

    return end


def _own_start() -> Step:
    """Return what there was to do without a server: this process has only computed till now."""
    used = time.process_time()
    title = "start an interpreter, import what it takes"
    return Step("command", title, "", time.monotonic() - used, used)


def _open_pipe() -> tuple[int, int]:
    """Open a pipe for steps, with much room."""
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _ROOM)
    except PermissionError:
        pass  # Above /proc/sys/fs/pipe-max-size, without CAP_SYS_RESOURCE: the usual 64 KiB do.
    return reader, writer


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


def _received(reader: int, until: float = 0) -> list[Step]:
    """Return what has come in; with ``until``, what comes before all have left, or that time."""
    data, poll = b"", select.poll()
    poll.register(reader, select.POLLIN)
    while poll.poll(max(0.0, until - time.monotonic()) * 1000):
        piece = os.read(reader, _ROOM)
        if not piece:
            break
        data += piece
    return [Step(**json.loads(line)) for line in data.splitlines()]
