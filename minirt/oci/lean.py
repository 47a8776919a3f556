"""A start without what nobody uses: each call of ``minirt-oci`` is an interpreter of its own."""

from __future__ import annotations

import sys


def begin() -> None:
    """Let the modules that are imported from now on get light ones for some of Python's."""
    from minirt.oci import light_typing

    sys.modules.setdefault("typing", light_typing)
    if sys.version_info < (3, 14):  # Later ones keep the annotations of a class in another way.
        from minirt.oci import light_dataclasses

        sys.modules.setdefault("dataclasses", light_dataclasses)
