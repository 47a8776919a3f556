"""Go's structs and typed nils, which JSON cannot tell from a map and from null.

``docker inspect`` prints Go structs. Their JSON leaves out an empty field that is tagged
``omitempty``, and shows a nil list as null. A template still finds the field, and prints ``[]``:

    fields = {"Status": "running", "Health": NIL_POINTER, "Env": NIL_LIST}
    struct(fields, omit_empty=("Health",))      json: {"Status": "running", "Env": null}
                                                {{.Health}} {{.Env}}: <nil> []
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any


class Nil:
    """The empty value of a Go type: false, of length 0, null in JSON."""

    def __init__(self, shown: str) -> None:
        self.shown = shown

    def __bool__(self) -> bool:
        return False

    def __len__(self) -> int:
        return 0


NIL_LIST, NIL_MAP, NIL_POINTER = Nil("[]"), Nil("map[]"), Nil("<nil>")

# The names of fields in Go, which templates use, where the JSON spells them differently.
GO_NAMES = {
    "ID": "Id",
    "APIVersion": "ApiVersion",
    "DNS": "Dns",
    "DNSOptions": "DnsOptions",
    "DNSSearch": "DnsSearch",
    "CPUShares": "CpuShares",
    "CPUPeriod": "CpuPeriod",
    "CPUQuota": "CpuQuota",
    "CPURealtimePeriod": "CpuRealtimePeriod",
    "CPURealtimeRuntime": "CpuRealtimeRuntime",
    "NanoCPUs": "NanoCpus",
}


class Struct(dict[str, Any]):
    """The fields that JSON shows; ``every`` has those that it omits, too, in Go's order."""

    every: Mapping[str, Any]

    def find(self, name: str) -> str | None:
        """Return the key in ``every`` of a field that a template names; None if there is none."""
        if name in self.every:
            return name
        alias = GO_NAMES.get(name)
        return alias if alias in self.every else None


def struct(fields: Mapping[str, Any], omit_empty: Collection[str] = ()) -> Struct:
    """Return a struct; of the fields in ``omit_empty`` those that are empty are not in its JSON."""
    shown = Struct({key: one for key, one in fields.items() if one or key not in omit_empty})
    shown.every = fields
    return shown


def as_json(value: Any) -> Any:
    """Return what JSON shows of a nil or a function: the ``default`` of json.dumps."""
    return None if isinstance(value, Nil) else value()
