"""Lists as Docker prints them: a table, a template for each row, or JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from minirt.container.templates import check, render
from minirt.container.templates.values import Fields
from minirt.errors import clean

NARROWEST, GAP = 10, 3  # columns of characters, as Docker sets Go's text/tabwriter
BETWEEN_ACTIONS = re.compile(r"(\{\{.*?\}\})", re.DOTALL)


def show(
    rows: Sequence[Fields], headers: Mapping[str, str], columns: Sequence[str], form: str = ""
) -> str:
    """Return the lines of a list.

    ``headers`` names every field that a row has and the head of its column, ``columns`` those
    that are shown. ``form`` is what ``--format`` says: empty or "table", "table" and a
    template, "json", or a template for each row. Raises InvalidRequest.
    """
    if form.strip() in ("", "table"):
        cells = [[clean(_cell(row[name])) for name in columns] for row in rows]
        return aligned([[headers[name] for name in columns], *cells])
    if form.strip() == "json":
        form = "{{json .}}"
    template = _unescaped(form)
    if not template.startswith("table "):
        check(template)
        return "".join(clean(render(template, _sorted(row))) + "\n" for row in rows)
    kind = type(rows[0]) if rows else Fields  # errors name it
    template = template.removeprefix("table ")
    lines = [render(template, row) for row in (kind(headers), *rows)]
    return aligned([clean(line).split("\t") for line in lines])


def _cell(value: Any) -> str:
    """Return a field's text; one that is costly to find out is a function."""
    return str(value() if callable(value) else value)


def aligned(rows: Sequence[Sequence[str]], narrowest: int = NARROWEST) -> str:
    """Put cells under each other; a column ends where no row has a cell to its right.

    That is Go's text/tabwriter, with widths in characters.
    """
    widths: list[int] = []
    for row in rows:
        for number, cell in enumerate(row[:-1]):
            if number == len(widths):
                widths.append(narrowest)
            widths[number] = max(widths[number], len(cell) + GAP)
    return "".join(
        "".join(cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False))
        + f"{row[-1]}\n"
        for row in rows
    )


def one_line(text: str) -> str:
    """Write out the ends of lines, too: a file may have them in its name."""
    return clean(text).replace("\n", "\\n").replace("\t", "\\t")


def shortened(text: str, longest: int) -> str:
    """Cut a text to ``longest`` characters, the last of them "…"."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _unescaped(form: str) -> str:
    r"""Read ``\t`` and ``\n``, which a shell passes on as they are, outside of ``{{…}}``."""
    pieces = BETWEEN_ACTIONS.split(form)
    pieces[::2] = [one.replace("\\t", "\t").replace("\\n", "\n") for one in pieces[::2]]
    return "".join(pieces)


def _sorted(row: Fields) -> Fields:
    """Return the row with its fields in alphabetical order, as Docker's JSON has them."""
    ordered = type(row)(sorted(row.items()))
    ordered.labels = row.labels
    return ordered
