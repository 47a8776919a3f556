"""Containers that make things as large as they can, with the program of greedy.c."""

from __future__ import annotations

from integration.conftest import Minirt
from integration.sandbox import wait_until

HUGE = 1500 << 20  # bytes: far more than any process of minirt may need
QUIET = ("run", "-d", "--net", "none", "--name", "one")


def wait_until_ready(minirt: Minirt, word: str = "ready") -> None:
    """Wait until the container "one" has printed a word."""
    wait_until(lambda: word in minirt("logs", "one").stdout, word, seconds=30)
