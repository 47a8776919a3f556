"""What minirt says when it cannot do what was asked.

    MinirtError             what went wrong, why, what to do; exit code of the verb (run: 125)
    +-- InvalidRequest      what was asked makes no sense, or contradicts itself
    |   +-- BadFlag   125   the value of a flag cannot be read
    +-- NotFound            no such container, network, image or volume
    +-- Conflict            a name, an address or a port is taken, or a thing is in use
    +-- Exhausted           a pool has nothing left to give
    +-- KernelRefused       a system call failed
    +-- CommandNotRunnable  126   found, but not executable
    +-- CommandNotFound     127

A message answers three questions: what failed, why, and what to do about it. The exit
codes are those of chroot(1) and env(1), which Docker took over too.
"""

from __future__ import annotations

import errno
import json
import os
import sys


class MinirtError(Exception):
    """The root of all errors that are meant for the user."""

    exit_code: int | None = None  # None: the verb decides; "run" says 125, most others 1

    def __init__(self, what: str, why: str = "", remedy: str = "") -> None:
        super().__init__(what, why, remedy)
        self.what, self.why, self.remedy = what, why, remedy

    def __str__(self) -> str:
        reason = f": {self.why}" if self.why else ""
        remedy = f" {self.remedy}" if self.remedy else ""
        return f"{self.what}{reason}.{remedy}"


class InvalidRequest(MinirtError):
    """The request contradicts itself, or a specification."""


class BadFlag(InvalidRequest):
    """The value of a flag cannot be read, as Docker's client says without asking its daemon."""

    exit_code = 125


class NotFound(MinirtError):
    """There is no container, network, image or volume of that name."""


class Conflict(MinirtError):
    """A name, an address or a port belongs to somebody else, or a thing is in use."""


class Exhausted(MinirtError):
    """A pool has nothing left to give."""


class KernelRefused(MinirtError):
    """A system call failed for a reason that the user can see."""


class CommandNotRunnable(MinirtError):
    """The command exists but cannot be executed."""

    exit_code = 126


class CommandNotFound(MinirtError):
    """The command is not in the image."""

    exit_code = 127


def kernel_refused(what: str, error: OSError) -> KernelRefused:
    """Put a failed system call into a sentence; say what to do where that is known."""
    why = error.strerror or str(error)  # the kernel's own words, where it had some
    where = f" ({error.filename})" if error.filename else ""
    # An error with words of its own says in them what to do.
    is_plain = error.strerror == os.strerror(error.errno or 0)
    remedy = _REMEDIES.get(error.errno or 0, "") if is_plain else ""
    if error.errno == errno.EROFS and str(error.filename).startswith(("/sys/", "/proc/")):
        remedy = _KERNELS_OWN
    if error.errno in (errno.EPERM, errno.EACCES) and is_plain:
        remedy = "minirt needs root: try sudo." if os.geteuid() != 0 else _ROOT_LACKS
    return KernelRefused(what, why + where, remedy)


_ROOT_LACKS = "This root may lack a capability; minirt needs CAP_SYS_ADMIN and CAP_NET_ADMIN."
_KERNELS_OWN = (
    "That file system is the kernel's own: mount it writable; in a container of another engine, "
    "start that with --privileged."
)
_REMEDIES = {
    errno.ENOSPC: "Free some space, or set MINIRT_ROOT to a larger disk.",
    errno.EROFS: "Set MINIRT_ROOT and MINIRT_RUNROOT to folders that can be written.",
    errno.EMFILE: "Raise the limit of open files (ulimit -n).",
}


_LONGEST_PART = 1500  # characters, 12 bytes each at most in JSON: three parts are below 64 KiB


def pack(error: MinirtError) -> bytes:
    """Write an error so that it can cross a pipe; :func:`unpack` reads it.

    An image may name a user or a command of any length, and a packet holds 64 KiB: each part is
    cut.
    """
    parts = [part[:_LONGEST_PART] for part in (error.what, error.why, error.remedy)]
    return json.dumps([type(error).__name__, *parts]).encode()


def unpack(message: bytes) -> MinirtError:
    """Rebuild the error that another process packed, whatever that has sent instead."""
    kinds: list[type[MinirtError]] = [MinirtError, *MinirtError.__subclasses__(), BadFlag]
    try:
        name, what, why, remedy = map(str, json.loads(message))
        return {kind.__name__: kind for kind in kinds}[name](what, why, remedy)
    except (ValueError, TypeError, KeyError, RecursionError):
        return MinirtError("The container did not start", "what its init says makes no sense")


def say(sentence: str, code: int) -> int:
    """Print a sentence to standard error, safe for a terminal; return ``code``."""
    sys.stderr.write(f"minirt: {clean(sentence)}\n")
    return code


def in_quotes(text: object) -> str:
    """Return a text for a message: in single quotes, control characters and newlines escaped."""
    return f"'{clean(str(text))}'".replace("\n", "\\n").replace("\t", "\\t")


def clean(text: str) -> str:
    """Write out what could move a terminal's cursor; images choose some of these texts."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)
