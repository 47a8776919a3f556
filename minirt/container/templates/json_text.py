"""JSON for people and programs, safe for a terminal."""

from __future__ import annotations

import json
from typing import Any

from minirt.container.templates.structs import as_json


def dumped(document: Any, indent: int | None = None) -> str:
    r"""Return JSON in Docker's form: indented, or without ``indent`` in one line without spaces.

    Labels and answers of DNS servers may hold characters that a terminal obeys and that JSON does
    not escape: C1 controls, marks that turn the direction of reading. They are escaped (RFC 8259,
    section 7), so a terminal shows ``\u009b`` and a parser reads the same text.
    """
    separators = (",", ":") if indent is None else None
    text = json.dumps(
        document, indent=indent, separators=separators, ensure_ascii=False, default=as_json
    )
    return "\n".join(map(_escaped, text.split("\n")))


def _escaped(line: str) -> str:
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)
