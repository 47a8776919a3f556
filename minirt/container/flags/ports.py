"""What ``--publish`` and ``--expose`` say."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from minirt.container.flags.typed import refused


def published(texts: tuple[str, ...]) -> list[dict[str, Any]]:
    """Read every ``-p``. Raises InvalidRequest."""
    if not texts:
        return []
    from minirt.network import port_syntax

    return [asdict(request) for request in port_syntax.parse(texts)]


def exposed(text: str) -> list[str]:
    """Read one ``--expose``: ``80``, ``90-91/udp``; return ports like ``80/tcp``.

    Raises InvalidRequest.
    """
    numbers, _, protocol = text.partition("/")
    protocol = protocol.lower() or "tcp"
    first, _, last = numbers.partition("-")
    if protocol not in ("tcp", "udp", "sctp"):
        raise refused("--expose", text, f"invalid proto: {protocol}")
    if not all(
        word.isascii() and word.isdigit() and len(word) <= 5 for word in (first, last or first)
    ):
        raise refused(
            "--expose", text, "invalid range format for --expose", "Write it like 80/tcp."
        )
    low, high = int(first), int(last or first)
    if not 1 <= low <= high <= 65535:
        raise refused("--expose", text, "ports go from 1 to 65535, the lower one first")
    return [f"{port}/{protocol}" for port in range(low, high + 1)]
