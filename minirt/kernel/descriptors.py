"""File descriptors, several at once."""

from __future__ import annotations

import os
from collections.abc import Iterable


def close(fds: Iterable[int]) -> None:
    """Close them all, close(2)."""
    for fd in fds:
        os.close(fd)
