"""Programs that the config wants run on the way (config.md, "POSIX-platform Hooks")."""

from __future__ import annotations

import errno
import json
import os
import select
import signal
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from minirt.errors import MinirtError
from minirt.kernel import processes, springboard
from minirt.kernel.steps import step
from minirt.runtime import command
from minirt.runtime.spec import OCI_VERSION, Hook

_CANNOT_EXECUTE = 127


@dataclass(frozen=True, slots=True)
class State:
    """What a hook reads from its standard input (runtime.md, "State")."""

    id: str
    status: str
    pid: int
    bundle: Path
    annotations: Mapping[str, str]

    def document(self) -> dict[str, Any]:
        """Return the document."""
        return {
            "ociVersion": OCI_VERSION,
            "id": self.id,
            "status": self.status,
            "pid": self.pid,
            "bundle": str(self.bundle),
            "annotations": dict(self.annotations),
        }

    def to_json(self) -> bytes:
        """Return the document as text."""
        return json.dumps(self.document()).encode()


def run(kind: str, hooks: tuple[Hook, ...], state: State, cwd: Path | None = None) -> None:
    """Run the hooks of one kind in their order. Raises MinirtError at the first that fails."""
    for number, hook in enumerate(hooks):
        _run_outside(f"{kind} hook #{number}", hook, state, cwd)


def run_all(kind: str, hooks: tuple[Hook, ...], state: State) -> list[MinirtError]:
    """Run the hooks of one kind, also after one that has failed; return what went wrong."""
    failures = []
    for number, hook in enumerate(hooks):
        try:
            _run_outside(f"{kind} hook #{number}", hook, state, None)
        except MinirtError as error:
            failures.append(error)
    return failures


def _run_outside(name: str, hook: Hook, state: State, cwd: Path | None) -> None:
    with step("run a hook", hook.path, *hook.args[1:]):
        why = _run(hook, state.to_json(), partial(_execute, hook, cwd))
    if why:
        raise MinirtError(f"error running {name}", f"{hook.path} {why}")


def run_inside(hooks: tuple[Hook, ...], state: State, environment: Iterable[str]) -> None:
    """Run the startContainer hooks, which are programs of the image. Raises MinirtError.

    ``environment`` is the command's: what a hook without one of its own gets.
    """
    for number, hook in enumerate(hooks):
        with step("run a hook", hook.path, *hook.args[1:]):
            why = _run(hook, state.to_json(), partial(_execute_inside, hook, environment))
        if why:
            raise MinirtError(f"error running startContainer hook #{number}", f"{hook.path} {why}")


def _run(hook: Hook, document: bytes, execute: Callable[[], int]) -> str:
    """Run one hook; say what was wrong, "" if nothing."""
    read, write = os.pipe()
    pid = processes.fork(lambda: _become(read, execute))
    os.close(read)
    pidfd = os.pidfd_open(pid)
    try:
        _feed(write, document)
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        if not poll.poll(None if hook.timeout is None else hook.timeout * 1000):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            processes.wait(pid)
            return f"did not end within {hook.timeout} s"
        code = processes.wait(pid)
        return f"ended with {code}" if code else ""
    finally:
        os.close(pidfd)


def _feed(fd: int, document: bytes) -> None:
    """Write the state; a hook need not read it. It fits into a pipe's buffer, pipe(7)."""
    try:
        os.write(fd, document)
    except BrokenPipeError:
        pass
    finally:
        os.close(fd)


def _become(stdin: int, execute: Callable[[], int]) -> int:
    os.dup2(stdin, 0)
    processes.close_all_but({0, 1, 2})
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    return execute()


def _execute(hook: Hook, cwd: Path | None) -> int:
    """Become a program of the host."""
    if cwd:
        os.chdir(cwd)
    names = dict(os.environ) if hook.env is None else _environment(hook.env)
    try:
        os.execve(hook.path, hook.args or (hook.path,), names)
    except OSError as error:
        os.write(2, f"{hook.path}: {os.strerror(error.errno or errno.EIO)}\n".encode())
    return _CANNOT_EXECUTE


def _execute_inside(hook: Hook, environment: Iterable[str]) -> int:
    """Become a program of the image: with the same care as for the command (``springboard``)."""
    names = _environment(environment if hook.env is None else hook.env)
    words = hook.args or (hook.path,)
    board = springboard.make(os.pipe()[1])
    try:
        if board is not None:
            os.execve(board, (hook.path, *words), names)
        command.refuse_own_binary(hook.path)
        os.execve(hook.path, words, names)
    except (OSError, MinirtError):
        return _CANNOT_EXECUTE


def _environment(words: Iterable[str]) -> dict[str, str]:
    return dict(word.split("=", 1) for word in words)
