"""Go's fmt.Printf, as far as templates need it (package fmt, "Printing")."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from minirt.container.templates.values import quoted, text, type_name, utf8

VERB = re.compile(r"%([-+# 0]*)(\d+)?(?:\.(\d+))?(.)", re.DOTALL)

_WIDEST = 1_000_000  # tooLarge() of Go's package fmt


def printf(form: str, *values: Any) -> str:
    """Format like Go's fmt.Printf, as far as templates need it."""
    waiting = list(values)
    printed = VERB.sub(lambda match: _verb(match, waiting), form)
    if waiting:
        extra = ", ".join(f"{type_name(one)}={text(one)}" for one in waiting)
        return f"{printed}%!(EXTRA {extra})"
    return printed


def _verb(match: re.Match[str], waiting: list[Any]) -> str:
    flags, width, precision, verb = match.groups()
    if verb == "%":
        return "%"
    if not waiting:
        return f"%!{verb}(MISSING)"
    value = waiting.pop(0)
    for number, what in ((width, "WIDTH"), (precision, "PREC")):
        if number and (len(number) > 9 or int(number) > _WIDEST):
            return f"%!{verb}(BAD{what})"
    printed = _formatted(verb, value, flags, precision)
    if "-" in flags:
        return printed.ljust(int(width or 0))
    if "0" in flags and verb in "dxXofeg":
        return printed.zfill(int(width or 0))
    return printed.rjust(int(width or 0))


def _formatted(verb: str, value: Any, flags: str, precision: str | None) -> str:
    """Print one value; what the verb can't print, as Go says so."""
    for verbs, kind, form in _FORMS:
        if (
            verb in verbs
            and isinstance(value, kind)
            and (verb in "vtT" or value is not bool(value))
        ):
            return form(verb, value, flags, precision)
    return f"%!{verb}({type_name(value)}={text(value)})"


_Form = Callable[[str, Any, str, str | None], str]
_FORMS: tuple[tuple[str, Any, _Form], ...] = (
    ("v", object, lambda verb, value, flags, precision: text(value)),
    ("T", object, lambda verb, value, flags, precision: type_name(value)),
    ("t", bool, lambda verb, value, flags, precision: text(value)),
    ("q", str, lambda verb, value, flags, precision: quoted(value)),
    ("x", str, lambda verb, value, flags, precision: utf8(value).hex()),
    ("X", str, lambda verb, value, flags, precision: utf8(value).hex().upper()),
    (
        "dxXobc",
        int,
        lambda verb, value, flags, precision: format(value, "+"[: "+" in flags] + verb),
    ),
    (
        "eEfFgG",
        float,
        lambda verb, value, flags, precision: format(value, f".{precision or 6}{verb}"),
    ),
    (
        "s",
        (str, list, tuple, dict),
        lambda verb, value, flags, precision: text(value)[: int(precision) if precision else None],
    ),
)
