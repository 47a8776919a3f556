"""The end of a test: what hangs is ended, and what minirt's own words can end is gone."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from types import FrameType

import pytest

from integration.sandbox import PATIENCE, minirt_words, shell
from integration.traces import Ground
from integration.warm import servers
from minirt.network import resolver_link

LONGEST = 60.0  # seconds that a test may take, times PATIENCE; @pytest.mark.slow: five times that


def stop_servers(here: Ground, but: int = 0) -> None:
    """Kill the fork servers: clients in namespaces of their own have started more than one."""
    for pid in servers(here.run):
        if pid != but:
            with contextlib.suppress(ProcessLookupError):  # It was just leaving.
                os.kill(pid, signal.SIGKILL)


def remove_containers(here: Ground) -> None:
    """Remove all containers, as a user would; that nothing is left of them is part of the test."""
    folder = here.root / "containers"
    ids = [one.name for one in folder.iterdir()] if folder.exists() else []
    if ids:
        shell(*minirt_words("rm", "--force", *ids), code=None, seconds=60)


def dismiss_resolvers(here: Ground) -> None:
    """Send home the resolvers that linger for the next container: there is none."""
    for folder in (here.run / "networks").glob("*/resolver.sock"):
        resolver_link.dismiss(folder.parent.name)


@contextlib.contextmanager
def alarm(item: pytest.Item) -> Iterator[None]:
    """End a test that hangs, wherever it hangs."""
    seconds = LONGEST * PATIENCE * (5 if item.get_closest_marker("slow") else 1)

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"the test took longer than {seconds:.0f} s")

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
