"""A start without what nobody uses: each call of ``minirt-oci`` is an interpreter of its own."""

from __future__ import annotations

import sys


def begin() -> None:
    """Let the modules that are imported from now on get light ones for some of Python's."""
    from minirt.oci import light_typing

    sys.modules.setdefault("typing", light_typing)
    from minirt import light_dataclasses

    light_dataclasses.stand_in()
