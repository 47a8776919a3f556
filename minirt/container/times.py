"""Moments and durations, read and told as Docker does. A moment is in seconds since 1970."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

from minirt.errors import InvalidRequest

NEVER = "0001-01-01T00:00:00Z"  # Go's zero time, which Docker prints for "not yet"
MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:T(\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?)?(Z|[+-]\d\d:\d\d)?"
)
DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(moment: str) -> float:
    """Read RFC 3339, with any number of digits after the point."""
    return datetime.fromisoformat(moment).timestamp()


def stamp(moment: float) -> str:
    """Write RFC 3339 in UTC, in a form that sorts as text like those of a log."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")


def plain(moment: str) -> str:
    """Return RFC 3339 as Docker's lists print it: ``2026-11-24 06:37:10 +0000 UTC``."""
    return f"{moment[:10]} {moment[11:19]} +0000 UTC"


def since(text: str, flag: str) -> str:
    """Read a moment (RFC 3339 or a part of it, seconds since 1970) or how long ago it was.

    Returns RFC 3339 with nanoseconds. Raises InvalidRequest.
    """
    try:
        if re.fullmatch(r"\d+(\.\d{1,9})?", text):
            whole, _, part = text.partition(".")
            return _with_nanoseconds(float(whole), part)
        ago = _duration(text)
        if ago is not None:
            return stamp(time.time() - ago)
    except (ValueError, OverflowError) as error:  # No calendar reaches that far.
        raise InvalidRequest(f'Invalid value for {flag}: "{text[:80]}"', str(error)) from None
    match = MOMENT.fullmatch(text)
    if match is None:
        why = "it is neither a moment nor a duration"
        remedy = "Write it like 2026-11-24T08:00:00, 1790000000 or 10m."
        raise InvalidRequest(f'Invalid value for {flag}: "{text}"', why, remedy)
    date, hour, minute, second, part, zone = match.groups()
    clock = f"{date}T{hour or '00'}:{minute or '00'}:{second or '00'}"
    try:
        when = datetime.fromisoformat(clock + (zone or ""))
    except ValueError as error:
        raise InvalidRequest(f'Invalid value for {flag}: "{text}"', str(error)) from None
    return _with_nanoseconds(when.timestamp(), part or "")


def _duration(text: str) -> float | None:
    """Read a duration like 1h30m, in seconds; None if it is none."""
    length, position = 0.0, 0
    while piece := DURATION.match(text, position):
        length += float(piece[1]) * UNITS[piece[2]]
        position = piece.end()
    return length if position and position == len(text) else None


def _with_nanoseconds(whole: float, part: str) -> str:
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{part:0<9}Z"


def duration(length: float) -> str:
    """Tell a number of seconds as a person would, by Docker's steps."""
    whole = int(length)
    if whole < 60:
        few = {0: "Less than a second", 1: "1 second"}
        return few.get(max(whole, 0), f"{whole} seconds")
    minutes, hours = whole // 60, int(length / 3600 + 0.5)
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    for longest, unit, name in (
        (24 * 14, 24, "days"),
        (24 * 60, 24 * 7, "weeks"),
        (24 * 365 * 2, 24 * 30, "months"),
    ):
        if hours < longest:
            return f"{hours // unit} {name}"
    return f"{hours // (24 * 365)} years"


def ago(moment: str) -> str:
    """Tell how long ago a moment was."""
    return f"{duration(time.time() - seconds(moment))} ago"
