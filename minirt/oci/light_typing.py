"""The part of ``typing`` that minirt imports: annotations are for readers, and never evaluated.

The standard module takes 2.3 ms; this one gets it for whoever asks for more.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
Any = NoReturn = object


def __getattr__(name: str) -> object:
    if name.startswith("__"):
        raise AttributeError(name)
    if sys.modules["typing"] is sys.modules[__name__]:
        del sys.modules["typing"]
    return getattr(__import__("typing"), name)
