"""minirt, ended at the N-th step of one of its processes.

The command line runs in a fork of the test's own process: what it imports is there already, so
that dozens of deaths take seconds.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from minirt import cli
from minirt.kernel import processes, steps
from minirt.kernel.steps import Step

Program = Callable[[list[str]], int]
MONITOR = "monitor"  # takes few steps itself: it ends at the N-th one of its command
_ENDED = 99  # instead of a signal: process 1 of a PID namespace can't kill itself


@dataclass(frozen=True, slots=True)
class Death:
    """How a command line ended: its exit code, and after which step of the victim."""

    code: int  # as a shell would tell it
    step: str  # "": the victim had no such step, and lived
    said: str


def run(out: Path, *words: str, program: Program = cli.run) -> Death:
    """Run ``minirt WORD…`` in a fork; what it prints goes to the file ``out``."""
    return run_until(out, "", 0, signal.SIGKILL, *words, program=program)


def run_until(
    out: Path,
    actor: str,
    number: int,
    by: signal.Signals,
    *words: str,
    program: Program = cli.run,
) -> Death:
    """Run ``minirt WORD…``; send ``by`` to the process ``actor`` after its step ``number``.

    To :data:`MONITOR` after the command's step, if it is born by then.
    """
    note = out.with_suffix(".step")
    note.unlink(missing_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _be_the_command(out, note, actor, number, by, partial(program, list(words)))
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    code = status if status >= 0 else 128 - status
    return Death(code, note.read_text() if note.exists() else "", out.read_text())


def _be_the_command(
    out: Path, note: Path, actor: str, number: int, by: signal.Signals, call: Callable[[], int]
) -> None:
    code = 70  # EX_SOFTWARE
    try:
        null = os.open("/dev/null", os.O_RDONLY)
        file = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for fd, copy in ((null, 0), (file, 1), (file, 2)):
            os.dup2(fd, copy)
        sys.stdout = os.fdopen(1, "w", closefd=False)  # instead of pytest's own
        sys.stderr = os.fdopen(2, "w", closefd=False)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        count = 0
        folder = os.open(note.parent, os.O_PATH | os.O_CLOEXEC)

        def sink(step: Step) -> None:
            nonlocal count
            acts = step.actor == ("command" if actor == MONITOR else actor)
            count += acts
            if acts and count == number:
                # By the open folder: init may have another root by now.
                fd = os.open(note.name, os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=folder)
                os.write(fd, step.title.encode())
                if actor == MONITOR:
                    kill_monitor(by)
                elif actor == "command":
                    os.kill(os.getpid(), by)
                else:
                    os._exit(_ENDED)

        steps.send_to(sink, folder)
        code = call()
        sys.stdout.flush()
        sys.stderr.flush()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    finally:
        os._exit(code)


def kill_monitor(by: signal.Signals) -> None:
    """Send a signal to the child of ours that has a PID namespace of its own; wait for its end."""
    for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        if Path(f"/proc/{pid}/ns/pid").readlink() != Path("/proc/self/ns/pid").readlink():
            pidfd = os.pidfd_open(int(pid))
            os.kill(int(pid), by)
            processes.wait_until_dead(pidfd)
            os.close(pidfd)
