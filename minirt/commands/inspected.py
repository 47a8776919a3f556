"""What all ``inspect`` verbs share: JSON or a template, and a word on what isn't there."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from typing import Any

import click

from minirt.container.templates import render
from minirt.errors import NotFound, say


def show(names: Iterable[str], look_up: Callable[[str], dict[str, Any]], form: str = "") -> int:
    """Print what ``look_up`` finds for each name, then what it doesn't; return the exit code.

    ``form`` is a Go template, "json" for one line, or empty for Docker's indented array.
    Raises InvalidRequest for a template that doesn't fit.
    """
    found, missing = [], []
    for name in names:
        try:
            found.append(look_up(name))
        except NotFound as error:
            missing.append(str(error))
    if form in ("", "json"):
        indent, separators = (4, None) if not form else (None, (",", ":"))
        text = json.dumps(found, indent=indent, separators=separators, ensure_ascii=False)
        click.echo(text)
    else:
        for document in found:
            click.echo(render(form, document))
    sys.stdout.flush()
    for sentence in missing:
        say(sentence, 1)
    return 1 if missing else 0
