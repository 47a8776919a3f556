"""What verbs share: options, arguments of which one that fails does not stop the others."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import click

from minirt.errors import InvalidRequest, MinirtError, kernel_refused, say

AT_ONCE = 50  # of what each has a few descriptors open

# What every verb that stops containers takes.
patience = click.option(
    *("-t", "--time", "--timeout", "seconds"),
    type=int,
    metavar="SECONDS",
    help="How long to wait before killing; -1: for ever. Else --stop-timeout, or 10.",
)
# What every verb that connects a terminal takes.
detach_keys = click.option(
    "--detach-keys",
    default="",
    metavar="KEYS",
    help="How to leave its terminal; else ctrl-p,ctrl-q.",
)


def for_each(arguments: Iterable[str], action: Callable[[str], object]) -> int:
    """Call ``action`` for each argument and print the argument, or why it failed.

    Return the exit code: 0, or 1 if any failed. What an action returns is printed instead of
    the argument, unless it is None.
    """
    code = 0
    for one in arguments:
        try:
            result = action(one)
        except MinirtError as error:
            code = say(str(error), 1)
        except OSError as error:
            code = say(str(kernel_refused(f"Cannot do that with {one}", error)), 1)
        else:
            click.echo(one if result is None else result)
    return code


def for_each_at_once(arguments: Sequence[str], begin: Callable[[str], Callable[[], object]]) -> int:
    """Like :func:`for_each`, for what takes its time: begin with many, then wait for each in turn.

    ``begin`` returns what waits; so all wait no longer than the slowest would alone.
    """
    codes = [0]
    for first in range(0, len(arguments), AT_ONCE):
        some = arguments[first : first + AT_ONCE]
        begun = {one: _begun(begin, one) for one in some}
        codes.append(for_each(some, partial(_finish, begun, begin)))
    return max(codes)


def _begun(begin: Callable[[str], Callable[[], object]], one: str) -> Callable[[], object]:
    """Begin, and let what fails fail in its turn."""
    try:
        return begin(one)
    except (MinirtError, OSError) as error:
        return partial(_fail, error)


def _fail(error: Exception) -> None:
    raise error


def _finish(
    begun: dict[str, Callable[[], object]], begin: Callable[[str], Callable[[], object]], one: str
) -> object:
    """Wait for one; who is named twice is begun with once more."""
    wait = begun.pop(one) if one in begun else begin(one)
    return wait()


def check_input(*, tty: bool, stdin: bool, remedy: str = "Leave out -t.") -> None:
    """Refuse to feed a container's terminal from what is none; raises InvalidRequest.

    A terminal has no end of file: what waits for it would wait for ever.
    """
    if tty and stdin and not os.isatty(0):
        error = InvalidRequest("The input device is not a TTY", "", remedy)
        error.exit_code = 1  # also of run: with Docker the client says it
        raise error
