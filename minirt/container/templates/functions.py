"""The functions of templates: Go's own (text/template, "Functions") and Docker's."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from minirt.container.templates.json_text import dumped
from minirt.container.templates.printf import printf
from minirt.container.templates.structs import NIL_MAP, Nil
from minirt.container.templates.values import text, type_name, utf8


class Misuse(Exception):
    """A function that can't be called like this; the message is Go's."""


def index(value: Any, *keys: Any) -> Any:
    """Return ``value[key][key]…``; what a map doesn't have is empty."""
    for key in keys:
        if isinstance(value, Mapping):
            value = value.get(key, _nothing_of(value))
        elif isinstance(value, list | tuple | str):
            if isinstance(key, bool) or not isinstance(key, int):
                raise Misuse(f"cannot index slice/array with type {type_name(key)}")
            if not 0 <= key < len(value):
                raise Misuse(f"index out of range: {key}")
            value = value[key]
        elif value is NIL_MAP:
            value = ""
        elif value is None or isinstance(value, Nil):
            raise Misuse("index of untyped nil")
        else:
            raise Misuse(f"can't index item of type {type_name(value)}")
    return value


def _nothing_of(values: Mapping[str, Any]) -> Any:
    """Return the zero of a map's values: of texts the empty text."""
    return "" if all(isinstance(value, str) for value in values.values()) else None


def length(value: Any) -> int:
    """Return the number of entries, or of bytes."""
    if isinstance(value, str):
        return len(utf8(value))
    if isinstance(value, Mapping | list | tuple | Nil):
        return len(value)
    raise Misuse("len of nil pointer" if value is None else f"len of type {type_name(value)}")


def part(value: Any, *bounds: int) -> Any:
    """Return ``value[first:last]``."""
    if not isinstance(value, str | list | tuple | Nil):
        raise Misuse(f"can't slice item of type {type_name(value)}")
    first, last, *_ = [*bounds, *(0, len(value))[len(bounds) :]]
    for bound in (first, last):
        if not 0 <= bound <= len(value):
            raise Misuse(f"index out of range: {bound}")
    return value if isinstance(value, Nil) else value[first:last]


def equal(value: Any, *others: Any) -> bool:
    """Say whether ``value`` is one of the others."""
    if not others:
        raise Misuse("missing argument for comparison")
    for other in others:
        _comparable(value, other)
    return value in others


def _comparable(left: Any, right: Any) -> None:
    if left is None or right is None:
        return
    numbers = [isinstance(one, int | float) and not isinstance(one, bool) for one in (left, right)]
    if not all(numbers) and type(left) is not type(right):
        raise Misuse("incompatible types for comparison")


def ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """Make a comparison that only takes what has an order."""

    def checked(left: Any, right: Any) -> bool:
        _comparable(left, right)
        if isinstance(left, bool) or not isinstance(left, int | float | str):
            raise Misuse("invalid type for comparison")
        return compare(left, right)

    return checked


def sprint(*values: Any) -> str:
    """Print values; a space stands between two of which none is a text."""
    printed = text(values[0]) if values else ""
    for left, right in pairwise(values):
        apart = not isinstance(left, str) and not isinstance(right, str)
        printed += (" " if apart else "") + text(right)
    return printed


def compact(value: Any) -> str:
    """Write JSON as Docker's ``json`` does: without spaces, keys in their order."""
    return dumped(value)


def joined(values: Any, separator: str) -> str:
    """Join texts."""
    if isinstance(values, Nil):
        return ""
    if not isinstance(values, list | tuple):
        raise Misuse(f"wrong type for value; expected []string; got {type_name(values)}")
    return separator.join(text(value) for value in values)


def title(value: str) -> str:
    """Begin every word with a capital."""
    return re.sub(r"(?<!\w)\w", lambda match: match[0].upper(), value)


def padded(value: str, before: int, after: int) -> str:
    """Put spaces around a text that is not empty."""
    return f"{' ' * before}{value}{' ' * after}" if value else value


def urlquery(value: Any) -> str:
    """Escape a text for the query of a URL."""
    from urllib.parse import quote_plus

    return quote_plus(text(value))


def html(value: Any) -> str:
    """Escape a text for HTML."""
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&#34;")):
        value = text(value).replace(character, entity)
    return str(value).replace("'", "&#39;")


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "and": lambda *values: next((one for one in values if not one), values[-1]),
    "or": lambda *values: next((one for one in values if one), values[-1]),
    "not": lambda value: not value,
    "len": length,
    "index": index,
    "slice": part,
    "eq": equal,
    "ne": lambda left, right: not equal(left, right),
    "lt": ordered(lambda left, right: bool(left < right)),
    "le": ordered(lambda left, right: bool(left <= right)),
    "gt": ordered(lambda left, right: bool(left > right)),
    "ge": ordered(lambda left, right: bool(left >= right)),
    "print": sprint,
    "printf": printf,
    "println": lambda *values: " ".join(map(text, values)) + "\n",
    "html": html,
    "urlquery": urlquery,
    "json": compact,
    "join": joined,
    "split": lambda value, separator: value.split(separator) if separator else list(value),
    "title": title,
    "lower": lambda value: value.lower(),
    "upper": lambda value: value.upper(),
    "pad": padded,
    "truncate": lambda value, longest: value[:longest],
}
