"""What all ``inspect`` verbs share: JSON or a template, and a word on what isn't there."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

import click

from minirt.container.templates import check, render
from minirt.container.templates.json_text import dumped
from minirt.errors import InvalidRequest, MinirtError, clean, say

UNREADABLE_TEMPLATE = 64  # Docker's exit code for it, of verbs that print one document


def check_template(form: str) -> None:
    """Raise InvalidRequest for a template that cannot be read, before anything is looked up."""
    try:
        check("" if form == "json" else form)
    except InvalidRequest as error:
        error.exit_code = UNREADABLE_TEMPLATE
        raise


def show(names: Iterable[str], look_up: Callable[[str], dict[str, Any]], form: str = "") -> int:
    """Print what ``look_up`` finds for each name, then its errors; return the exit code.

    ``form`` is a Go template, "json" for one line, or empty for Docker's indented array.
    Raises InvalidRequest for a template that doesn't fit.
    """
    check_template(form)
    found, errors = [], []
    for name in names:
        try:
            found.append(look_up(name))
        except MinirtError as error:
            errors.append(str(error))
    if form in ("", "json"):
        click.echo(dumped(found, indent=None if form else 4))
    else:
        for document in found:
            text = render(form, document)
            click.echo(
                clean(text) if sys.stdout.isatty() else text.encode(errors="surrogateescape")
            )
    sys.stdout.flush()
    for sentence in errors:
        say(sentence, 1)
    return 1 if errors else 0
