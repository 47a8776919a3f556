"""Giving back what was taken, whatever comes in between."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from minirt.container.attach import ENDING


@contextmanager
def taking_back() -> Iterator[ExitStack]:
    """Let the body take things, and note how each is given back, which happens if it fails."""
    held = ExitStack()
    try:
        yield held
    except BaseException:
        with undisturbed():
            held.close()
        raise


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let signals that would end this process wait for the end of the body."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
