"""Signals by name and by number (signal(7))."""

from __future__ import annotations

import signal

from minirt.errors import InvalidRequest

REALTIME = ("RTMIN", "RTMAX")
_MOST_DIGITS = 3


def number(text: str) -> int:
    """Read ``9``, ``KILL``, ``SIGKILL`` or ``SIGRTMIN+3``.

    Raises InvalidRequest.
    """
    value = int(text) if _is_short_number(text) else _named(text.upper().removeprefix("SIG"))
    if 1 <= value <= signal.SIGRTMAX:
        return value
    raise InvalidRequest(
        f"Invalid signal: {text[:40]}", "", "'kill -l' lists those that there are."
    )


def _is_short_number(text: str) -> bool:
    """Say whether a text is a number that a signal can have; int() raises ValueError for others."""
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS


def _named(name: str) -> int:
    plain = getattr(signal, f"SIG{name}", None)
    if isinstance(plain, signal.Signals):
        return int(plain)
    for base in REALTIME:
        offset = name.removeprefix(base)
        if name.startswith(base) and offset[:1] in ("+", "-") and _is_short_number(offset[1:]):
            value = int(getattr(signal, f"SIG{base}")) + int(offset)
            return value if signal.SIGRTMIN <= value <= signal.SIGRTMAX else 0
    return 0
