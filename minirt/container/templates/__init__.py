"""Go templates, as Docker's users write them: ``{{range .Mounts}}{{.Source}} {{end}}``.

    lexer      text -> tokens
    parser     tokens -> nodes
    evaluator  nodes + data -> text
    functions  len, index, json, join, eq, …; printf has a file of its own
    values     how Go names and prints a value
    structs    structs and typed nils

The language is that of Go's package text/template, without define, template and block. The
data is what JSON has, and functions: a field that is a function is called, with the
arguments that follow it. Missing fields are an error, as with ``docker inspect``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from minirt.errors import InvalidRequest


def check(template: str) -> None:
    """Read a template for which there is no data. Raises InvalidRequest."""
    from minirt.container.templates.parser import parse

    with _bearable():
        parse(template)


def render(template: str, data: Any) -> str:
    """Return what ``template`` makes of ``data``.

    Raises InvalidRequest with Go's sentence, which tells line and column.
    """
    from minirt.container.templates.evaluator import Evaluator
    from minirt.container.templates.parser import parse

    with _bearable():
        return Evaluator(template, data).run(parse(template))


@contextmanager
def _bearable() -> Iterator[None]:
    """Refuse a template whose parentheses or blocks fill Python's stack. Raises InvalidRequest."""
    try:
        yield
    except RecursionError:
        raise InvalidRequest("template parsing error", "it is nested too deeply") from None
