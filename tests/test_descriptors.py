"""Descriptors that are left to the end of the process."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from minirt.kernel import descriptors

MOST = descriptors.MOST_LEFT


@contextmanager
def limited(most: int) -> Iterator[None]:
    """Allow so many descriptors; more may be open already."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[1] < most:  # the shell that runs the tests may have set it: ulimit -n
        pytest.skip(f"the hard limit of open files is {before[1]}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(("limit", "most"), [(5 * MOST, MOST), (MOST, MOST // 4)])
def test_what_is_left_stays_open_until_there_are_many(limit: int, most: int) -> None:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    descriptors.close_left()
    descriptors.leave(writer)
    others = [os.dup(reader) for _ in range(most)]
    with limited(limit):
        for other in others[:-1]:
            descriptors.leave(other)
        os.write(writer, b"open")
        assert os.read(reader, 9) == b"open"
        descriptors.leave(others[-1])
    assert os.read(reader, 9) == b""  # The end: nobody has the other end any more.
    os.fstat(others[-1])  # The latest is left, as the first was.
    os.close(reader)
