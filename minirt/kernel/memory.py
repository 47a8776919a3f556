"""The pages of this process: which of them are its own, and how to get copies early."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from contextlib import suppress

from minirt.kernel import libc

PAGE = mmap.PAGESIZE
_POPULATE_WRITE = 23  # MADV_POPULATE_WRITE of madvise(2), Linux 5.14
_COLLAPSE = 25  # MADV_COLLAPSE, Linux 6.1
_HUGE = 2 << 20  # bytes; where huge pages are of another size the kernel refuses, or takes more
_ENTRY = 8  # bytes for a page in /proc/self/pagemap
_OWN = bytes(byte & 1 for byte in range(256))  # bit 56 of an entry: nobody else maps the page


def writable() -> Iterator[range]:
    """Yield where memory is that is private and may be written to (proc_pid_maps(5)).

    Not the stack, which grows.
    """
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        for line in maps:
            places, rights, rest = line.split(" ", 2)
            if rights == "rw-p" and not rest.rstrip().endswith("[stack]"):
                start, _, end = places.partition("-")
                yield range(int(start, 16), int(end, 16))


def make_huge() -> None:
    """Let huge pages take the place of small ones where they fit: fewer to copy for each fork(2).

    Who writes there gets a copy of a small page all the same. Where the kernel can't, or has no
    such memory at the moment, all stays as it is.
    """
    for place in list(writable()):
        first = -(-place.start // _HUGE) * _HUGE
        for start in range(first, place.stop - _HUGE + 1, _HUGE):
            with suppress(OSError):
                libc.madvise(start, _HUGE, _COLLAPSE)


def own(place: range) -> bytes:
    """Return 1 for each page there that this process shares with no other one, else 0.

    Source: proc_pid_pagemap(5). Raises OSError where the kernel has no such file.
    """
    fd = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    try:
        entries = os.pread(fd, len(place) // PAGE * _ENTRY, place.start // PAGE * _ENTRY)
    finally:
        os.close(fd)
    return entries[_ENTRY - 1 :: _ENTRY].translate(_OWN)


def copy(place: range) -> None:
    """Have copies of the pages there that are shared, as if they were written to.

    Raises OSError where the kernel can't.
    """
    libc.madvise(place.start, len(place), _POPULATE_WRITE)
