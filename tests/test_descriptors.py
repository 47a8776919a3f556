"""Descriptors that are left to the end of the process."""

from __future__ import annotations

import os

from minirt.kernel import descriptors


def test_what_is_left_stays_open_until_there_are_many() -> None:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    descriptors.leave(writer)
    others = [os.dup(reader) for _ in range(descriptors.MOST_LEFT)]
    try:
        for other in others[:-1]:
            descriptors.leave(other)
        os.write(writer, b"open")
        assert os.read(reader, 9) == b"open"
        descriptors.leave(others[-1])
        assert os.read(reader, 9) == b""  # The end: nobody has the other end any more.
        os.fstat(others[-1])  # The latest is left, as the first was.
    finally:
        os.close(reader)
