"""``minirt-oci list``: the containers of a state root."""

from __future__ import annotations

import json
import sys

from minirt.errors import InvalidRequest, in_quotes
from minirt.oci import lifecycle, records
from minirt.oci.records import Record
from minirt.oci.words import Asked

_HEADER = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
_PADDING, _NARROWEST = 3, 12  # of runc's table


def run(asked: Asked) -> int:
    """Print them, as a table, as JSON or only their IDs."""
    form = asked.text("format", "table")
    if form not in ("table", "json"):
        raise InvalidRequest(f"invalid format option {in_quotes(form)}", "it is table or json")
    found = list(records.every())
    if asked.flag("quiet"):
        sys.stdout.write("".join(f"{one.id}\n" for one in found))
    elif form == "json":
        shown = [{**lifecycle.document(one), "owner": _owner(one)} for one in found]
        sys.stdout.write(json.dumps(shown, separators=(",", ":")) + "\n")
    else:
        sys.stdout.write(table([_HEADER, *map(_row, found)]))
    return 0


def table(rows: list[list[str]]) -> str:
    """Return rows in columns, all but the last as wide as its longest cell needs."""
    widths = [
        max(_NARROWEST, *(len(cell) + _PADDING for cell in column))
        for column in zip(*rows, strict=True)
    ]
    lines = [
        "".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows
    ]
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _row(record: Record) -> list[str]:
    state = lifecycle.document(record)
    shown = [state[key] for key in ("id", "pid", "status", "bundle", "created")]
    return [*map(str, shown), _owner(record)]


def _owner(record: Record) -> str:
    uid = record.folder.stat().st_uid
    return "root" if uid == 0 else f"#{uid}"
