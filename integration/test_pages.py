"""Pages that are copied before they are written to (kernel/memory.py, server/pages.py)."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable, Iterator

import pytest

from minirt.kernel import memory, processes
from minirt.server.pages import Pages

COUNT = 1000  # pages: more than a command may write to before it writes that down


@pytest.fixture
def area() -> Iterator[mmap.mmap]:
    """Return memory of this process that a child shares until one of them writes there."""
    made = mmap.mmap(-1, COUNT * memory.PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    made.write(bytes(len(made)))
    yield made
    made.close()


def place_of(area: mmap.mmap) -> range:
    start = ctypes.addressof(ctypes.c_char.from_buffer(area))
    return range(start, start + len(area))


def write_to(area: mmap.mmap, pages: range) -> None:
    for page in pages:
        area[page * memory.PAGE] = 1


def in_a_child(main: Callable[[], bool]) -> bool:
    return processes.wait(processes.fork(lambda: 0 if main() else 1)) == 0


def test_a_page_is_ones_own_from_the_first_write_on(area: mmap.mmap) -> None:
    place = place_of(area)

    def main() -> bool:
        before = memory.own(place)
        write_to(area, range(10, 20))
        return not any(before) and [n for n, own in enumerate(memory.own(place)) if own] == [
            *range(10, 20)
        ]

    assert in_a_child(main)


def test_a_copy_can_be_had_without_a_write(area: mmap.mmap) -> None:
    place = place_of(area)

    def main() -> bool:
        memory.copy(place[: 5 * memory.PAGE])
        return memory.own(place) == b"\1" * 5 + bytes(COUNT - 5)

    assert in_a_child(main)


@pytest.mark.parametrize(
    ("words", "written", "copied"),
    [
        (["minirt", "run", "image"], range(500, 1000), range(500, 1000)),
        (["minirt", "ps"], range(500, 1000), range(0)),  # a rare command
        (["minirt", "run", "image"], range(500, 520), range(0)),  # few
    ],
)
def test_the_next_child_has_what_the_last_one_wrote_to(
    area: mmap.mmap, words: list[str], written: range, copied: range
) -> None:
    place, pages = place_of(area), Pages()

    def first() -> bool:
        pages.copy(is_over=lambda: False)
        write_to(area, written)
        pages.learn(words)
        return True

    def second() -> bool:
        pages.copy(is_over=lambda: False)
        own = memory.own(place)
        return [page for page in range(COUNT) if own[page]] == [*copied]

    assert in_a_child(first)
    assert in_a_child(second)


def test_nobody_waits_for_copies(area: mmap.mmap) -> None:
    pages, place = Pages(), place_of(area)

    def first() -> bool:
        write_to(area, range(0, COUNT, 3))  # no two side by side: each is a call of its own
        pages.learn(["run"])
        return True

    def second() -> bool:
        looks = iter([False, False, True])
        pages.copy(is_over=lambda: next(looks))
        return 0 < sum(memory.own(place)) < COUNT // 3

    assert in_a_child(first)
    assert in_a_child(second)
