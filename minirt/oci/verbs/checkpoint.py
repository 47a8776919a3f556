"""``minirt-oci checkpoint`` and ``restore``: there is no such thing here."""

from __future__ import annotations

from minirt.errors import InvalidRequest
from minirt.oci.words import Asked


def run(asked: Asked) -> int:
    """Say so."""
    raise InvalidRequest(f"{asked.verb} is not supported", "minirt doesn't work with CRIU")
