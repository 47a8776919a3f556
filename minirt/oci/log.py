"""Messages as runc writes them: its callers read them to find out what went wrong.

    text    time="2026-11-24T09:43:00Z" level=error msg="…"
    json    {"level":"error","msg":"…","time":"2026-11-24T09:43:00Z"}

They go to the file of --log, else to standard error. An error is on standard error in any case.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import time
from collections.abc import Sequence

from minirt.errors import (
    CommandNotFound,
    CommandNotRunnable,
    InvalidRequest,
    MinirtError,
    in_quotes,
)

_FORMATS = ("text", "json")
_format = "text"
_file: int | None = None


def open_log(path: str, form: str, debug: bool) -> None:
    """Let messages go to ``path`` ("": standard error). Raises InvalidRequest."""
    global _format, _file
    if form not in _FORMATS:
        raise InvalidRequest(f"unknown log-format {in_quotes(form)}", "it is text or json")
    _format, _file = form, None
    path = path.removeprefix("file:")  # crun's way to say it
    if path:
        _file = _open(path)
    if debug:
        _tell_steps()


def _open(path: str) -> int:
    """Open the log at a high number: low ones may be asked to be handed through.

    If it is a FIFO, nobody waits for its reader: what that doesn't take is lost.
    """
    from minirt.kernel import descriptors

    try:
        return descriptors.high(_opened(path))
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise InvalidRequest(f"Cannot write the log {path}", why) from error


def _opened(path: str) -> int:
    """Open the log. It may be a symlink of root's or of the caller's, as /dev/stderr is.

    Another user's symlink could lead what root writes to any file.
    Raises InvalidRequest, OSError.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        return os.open(path, flags | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
    user = os.lstat(path).st_uid
    if user not in (0, os.geteuid()):
        why = f"it is a symlink of user {user}, who could lead it to any file"
        raise InvalidRequest(f"Cannot write the log {path}", why, f"Try: rm {path}")
    return os.open(path, flags, 0o600)


def error(problem: MinirtError) -> None:
    """Say what went wrong."""
    text = explained(problem)
    _write("error", text)
    if _file is not None:
        sys.stderr.write(f"{_printable(text)}\n")


def warning(text: str) -> None:
    """Say what the caller should know, although it went well."""
    _write("warning", text)


def unknown_capabilities(names: Sequence[str]) -> None:
    """Say, in runc's words, which names of capabilities the config has that mean nothing."""
    if names:
        warning(f"ignoring unknown or unavailable capabilities: [{' '.join(names)}]")


def explained(problem: MinirtError) -> str:
    """Return the sentence. By the words of these two, callers choose 127 or 126."""
    name = problem.what.removeprefix("Cannot run ")
    if isinstance(problem, CommandNotFound):
        why = "stat: no such file or directory" if "/" in name else "not found in $PATH"
        return f'exec: "{name}": executable file not found: {why}: {problem.why}'.replace(
            "executable file not found: not found in $PATH", "executable file not found in $PATH"
        )
    if isinstance(problem, CommandNotRunnable):
        return f'exec: "{name}": permission denied: {problem.why}'
    return str(problem).removesuffix(".")


def _tell_steps() -> None:
    """Log each step, in all processes that come from this one."""
    from minirt.kernel import steps

    def sink(step: steps.Step) -> None:
        _write("debug", f"{step.actor}: {step.title}: {step.command}")

    steps.send_to(sink, 2 if _file is None else _file)


def _write(level: str, text: str) -> None:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    if _format == "json":
        line = json.dumps({"level": level, "msg": text, "time": now}, separators=(",", ":"))
    else:
        line = f'time="{now}" level={level} msg={json.dumps(_printable(text), ensure_ascii=False)}'
    try:
        os.write(2 if _file is None else _file, f"{line}\n".encode(errors="replace"))
    except OSError:
        pass  # A log that can't be written must not hide what it was about.


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)
