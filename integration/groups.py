"""A cgroup for a test, and processes in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from minirt.kernel import cgroups, clone, processes
from minirt.kernel.cgroups import Cgroup


@pytest.fixture
def group() -> Iterator[Cgroup]:
    made = cgroups.make("one")
    yield made
    made.end()


def born_in(group: Cgroup, main: Callable[[], int]) -> int:
    """Run ``main`` in a child in the group; return its PID."""

    def child() -> int:
        group.enter_version_1()
        return main()

    fd = group.clone_fd()
    try:
        return clone.clone(child, cgroup=fd).pid
    finally:
        if fd is not None:
            os.close(fd)


def ended(group: Cgroup, main: Callable[[], int]) -> int:
    return processes.wait(born_in(group, main))
