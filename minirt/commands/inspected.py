"""What all ``inspect`` verbs share: JSON or a template, and a word on what isn't there."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable
from typing import Any

import click

from minirt.container.tables import clean
from minirt.container.templates import check, render
from minirt.container.templates.structs import as_json
from minirt.errors import InvalidRequest, NotFound, say

# What JSON lets pass and a terminal obeys (C1 controls, marks that turn the direction of reading)
# or UTF-8 has no room for.
CONTROLS = re.compile("[\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


UNREADABLE_TEMPLATE = 64  # Docker's exit code for it, of verbs that print one document


def check_template(form: str) -> None:
    """Raise InvalidRequest for a template that cannot be read, before anything is looked up."""
    try:
        check("" if form == "json" else form)
    except InvalidRequest as error:
        error.exit_code = UNREADABLE_TEMPLATE
        raise


def show(names: Iterable[str], look_up: Callable[[str], dict[str, Any]], form: str = "") -> int:
    """Print what ``look_up`` finds for each name, then what it doesn't; return the exit code.

    ``form`` is a Go template, "json" for one line, or empty for Docker's indented array.
    Raises InvalidRequest for a template that doesn't fit.
    """
    check_template(form)
    found, missing = [], []
    for name in names:
        try:
            found.append(look_up(name))
        except NotFound as error:
            missing.append(str(error))
    if form in ("", "json"):
        indent, separators = (4, None) if not form else (None, (",", ":"))
        text = json.dumps(
            found, indent=indent, separators=separators, ensure_ascii=False, default=as_json
        )
        click.echo(CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text))
    else:
        for document in found:
            text = render(form, document)
            click.echo(
                clean(text) if sys.stdout.isatty() else text.encode(errors="surrogateescape")
            )
    sys.stdout.flush()
    for sentence in missing:
        say(sentence, 1)
    return 1 if missing else 0
