"""What minirt has noted of a container that runs: whom a test looks at, or kills."""

from __future__ import annotations

from typing import Any

from integration.conftest import Minirt
from minirt.state import read_json, run_dir


def state_of(minirt: Minirt, name: str) -> dict[str, Any]:
    """Return the state of a container that runs."""
    identity = minirt("inspect", "-f", "{{.Id}}", name).stdout.strip()
    found: dict[str, Any] = read_json(run_dir() / "containers" / identity / "state.json")
    return found


def pid_of(minirt: Minirt, name: str) -> int:
    """Return the pid of a container's init."""
    return int(minirt("inspect", "-f", "{{.State.Pid}}", name).stdout)


def monitor_of(minirt: Minirt, name: str) -> int:
    """Return the pid of a container's monitor.

    Not init's parent: that may be who has built the container, and is about to leave.
    """
    return int(state_of(minirt, name)["monitor"])
