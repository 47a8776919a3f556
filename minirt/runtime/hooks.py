"""Programs that the config wants run on the way (config.md, "POSIX-platform Hooks").

A hook reads the state from its standard input. What it prints is kept for the error message if it
fails, and otherwise dropped, as by runc: standard output belongs to the container, or to the
caller's own protocol. Hooks start in the bundle, createContainer hooks in the root file system.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import select
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from minirt.errors import MinirtError
from minirt.kernel import descriptors, processes, springboard
from minirt.kernel.steps import step
from minirt.runtime import command
from minirt.runtime.spec import OCI_VERSION, Hook

_CANNOT_EXECUTE = 127
_LONGEST_OUTPUT = 4096  # bytes of each stream in a message
_PIPE_SIZE = 1 << 16  # bytes, pipe(7): what a hook may have written when it ended


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


def run(kind: str, hooks: tuple[Hook, ...], state: State, cwd: int | None = None) -> None:
    """Run the hooks of one kind in their order. Raises MinirtError at the first that fails.

    ``cwd`` is a descriptor of the folder in which they start; None: the bundle.
    """
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


def _run_outside(name: str, hook: Hook, state: State, cwd: int | None) -> None:
    folder = state.bundle if cwd is None else cwd
    with step("run a hook", hook.path, *hook.args[1:]):
        why = _run(hook, state.to_json(), folder, partial(_execute, hook))
    if why:
        raise MinirtError(f"error running {name}", f"{hook.path} {why}")


def run_inside(hooks: tuple[Hook, ...], state: State, environment: Iterable[str]) -> None:
    """Run the startContainer hooks, which are programs of the image. Raises MinirtError.

    ``environment`` is the command's: what a hook without one of its own gets.
    """
    for number, hook in enumerate(hooks):
        with step("run a hook", hook.path, *hook.args[1:]):
            why = _run(hook, state.to_json(), ".", partial(_execute_inside, hook, environment))
        if why:
            raise MinirtError(f"error running startContainer hook #{number}", f"{hook.path} {why}")


def _run(hook: Hook, document: bytes, cwd: Path | str | int, execute: Callable[[], int]) -> str:
    """Run one hook; say what was wrong, "" if nothing."""
    stdin, stdout, stderr = (os.pipe() for _ in range(3))
    pid = processes.fork(lambda: _become((stdin[0], stdout[1], stderr[1]), cwd, execute))
    descriptors.close([stdin[0], stdout[1], stderr[1]])
    pidfd = os.pidfd_open(pid)
    outputs = {stdout[0]: b"", stderr[0]: b""}
    try:
        in_time = _converse(pidfd, stdin[1], document, outputs, hook.timeout)
        if not in_time:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        code = processes.wait(pid)
    finally:
        descriptors.close([pidfd, *outputs])
    if in_time and not code:
        return ""
    why = f"ended with {code}" if in_time else f"did not end within {hook.timeout} s"
    return why + _shown(outputs.values())


def _converse(
    pidfd: int, stdin: int, document: bytes, outputs: dict[int, bytes], timeout: int | None
) -> bool:
    """Write the state to a hook and read what it prints until it ends; say if that is in time.

    ``timeout`` is in seconds, and ``outputs`` has what was read by descriptor. A hook need not
    read the state, which may be longer than what a pipe holds (pipe(7)). Processes that it
    leaves behind may hold its streams open: nobody waits for those. Closes ``stdin``.
    """
    feed: int | None = stdin
    os.set_blocking(stdin, False)
    deadline = None if timeout is None else time.monotonic() + timeout
    poll = select.poll()
    poll.register(stdin, select.POLLOUT)
    for fd in (pidfd, *outputs):
        poll.register(fd, select.POLLIN)
    try:
        while True:
            left = None if deadline is None else max(deadline - time.monotonic(), 0) * 1000
            ready = [fd for fd, _ in poll.poll(left)]
            if feed in ready:
                document = _fed(stdin, document)
                if not document:
                    poll.unregister(stdin)
                    os.close(stdin)
                    feed = None
            for fd in outputs:
                if fd in ready:
                    piece = os.read(fd, _PIPE_SIZE)
                    outputs[fd] = (outputs[fd] + piece)[-_LONGEST_OUTPUT:]
                    if not piece:
                        poll.unregister(fd)
            if pidfd in ready:
                return _read_rest(outputs)
            if deadline is not None and time.monotonic() >= deadline:
                return False
    finally:
        descriptors.close([feed])


def _read_rest(outputs: dict[int, bytes]) -> bool:
    """Read what is left in the pipes of a hook that has ended."""
    for fd in outputs:
        os.set_blocking(fd, False)
        try:
            outputs[fd] = (outputs[fd] + os.read(fd, _PIPE_SIZE))[-_LONGEST_OUTPUT:]
        except BlockingIOError:
            continue
    return True


def _shown(outputs: Iterable[bytes]) -> str:
    """Return the output of a hook that failed, in runc's form."""
    texts = [one.decode(errors="replace").strip() for one in outputs]
    named = zip(("stdout", "stderr"), texts, strict=True)
    return "".join(f", {name}: {text}" for name, text in named if text)


def _fed(fd: int, document: bytes) -> bytes:
    """Write as much to a hook as its pipe takes; return what is left, nothing if nobody reads."""
    try:
        return document[os.write(fd, document) :]
    except BlockingIOError:
        return document
    except BrokenPipeError:
        return b""


def _become(
    streams: tuple[int, int, int], cwd: Path | str | int, execute: Callable[[], int]
) -> int:
    # First above the standard numbers: the caller may have left some of those closed.
    above = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3) for fd in streams]
    for number, fd in enumerate(above):
        os.dup2(fd, number)
    try:
        os.chdir(cwd)
    except OSError as error:
        os.write(2, f"{cwd}: {os.strerror(error.errno or errno.EIO)}\n".encode())
        return _CANNOT_EXECUTE
    processes.close_all_but({0, 1, 2})
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    return execute()


def _execute(hook: Hook) -> int:
    """Become a program of the host."""
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
    except OSError as error:
        os.write(2, f"{hook.path}: {os.strerror(error.errno or errno.EIO)}\n".encode())
    except MinirtError as error:
        os.write(2, f"{error}\n".encode())
    return _CANNOT_EXECUTE


def _environment(words: Iterable[str]) -> dict[str, str]:
    return dict(word.split("=", 1) for word in words)
