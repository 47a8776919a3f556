"""``minirt-oci create``: a container whose command waits at its gate."""

from __future__ import annotations

from minirt.oci import birth
from minirt.oci.words import Asked
from minirt.runtime import create


def run(asked: Asked) -> int:
    """Create it, and leave it to who adopts it: the caller's subreaper."""
    order = birth.read_order(asked, detached=True)
    with birth.claimed(order) as record:
        _, created = birth.bear(order, record)
        create.leave(created)
    return 0
