"""Bytes, as Docker tells them: with three or four digits (package github.com/docker/go-units)."""

from __future__ import annotations

from collections.abc import Sequence


def decimal(amount: float, digits: int = 4) -> str:
    """Tell bytes in decimal units: ``1.234MB``, with three digits ``1.23MB``."""
    return _told(amount, 1000, ("B", "kB", "MB", "GB", "TB"), digits)


def binary(amount: float) -> str:
    """Tell bytes in binary units: ``1.234MiB``."""
    return _told(amount, 1024, ("B", "KiB", "MiB", "GiB", "TiB"), 4)


def _told(amount: float, step: int, units: Sequence[str], digits: int) -> str:
    *smaller, largest = units
    for unit in smaller:
        if amount < step:
            # 999.9 with three digits is 1000; "g" would print 1e+03.
            text = f"{amount:.{digits}g}"
            return f"{amount:.0f}{unit}" if "e" in text else f"{text}{unit}"
        amount /= step
    return f"{amount:.{digits}g}{largest}"
