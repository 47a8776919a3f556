"""Bytes, as Docker tells them: with four digits."""

from __future__ import annotations

from collections.abc import Sequence


def decimal(amount: float) -> str:
    """Tell bytes in decimal units: ``1.234MB``."""
    return _told(amount, 1000, ("B", "kB", "MB", "GB", "TB"))


def binary(amount: float) -> str:
    """Tell bytes in binary units: ``1.234MiB``."""
    return _told(amount, 1024, ("B", "KiB", "MiB", "GiB", "TiB"))


def _told(amount: float, step: int, units: Sequence[str]) -> str:
    *smaller, largest = units
    for unit in smaller:
        if amount < step:
            return f"{amount:.4g}{unit}"
        amount /= step
    return f"{amount:.4g}{largest}"
