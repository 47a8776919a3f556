"""Signals by name and by number (signal(7))."""

from __future__ import annotations

import signal

from minirt.errors import InvalidRequest

REALTIME = ("RTMIN", "RTMAX")


def number(text: str) -> int:
    """Read ``9``, ``KILL``, ``SIGKILL`` or ``SIGRTMIN+3``.

    Raises InvalidRequest.
    """
    if text.isascii() and text.isdigit():
        value = int(text)
    else:
        value = _named(text.upper().removeprefix("SIG"))
    if 1 <= value <= signal.SIGRTMAX:
        return value
    raise InvalidRequest(
        f"Invalid signal: {text[:40]}", "", "'kill -l' lists those that there are."
    )


def _named(name: str) -> int:
    plain = getattr(signal, f"SIG{name}", None)
    if isinstance(plain, signal.Signals):
        return int(plain)
    for base in REALTIME:
        offset = name.removeprefix(base)
        if name.startswith(base) and offset[:1] in ("+", "-") and offset[1:].isdecimal():
            value = int(getattr(signal, f"SIG{base}")) + int(offset)
            return value if signal.SIGRTMIN <= value <= signal.SIGRTMAX else 0
    return 0
