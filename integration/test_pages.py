"""Pages that are copied before they are written to (kernel/memory.py, kernel/pages.py)."""

from __future__ import annotations

import ctypes
import mmap
import os
import threading
from collections.abc import Callable, Iterator

import pytest

from minirt.kernel import memory, pages, processes

COUNT = 1000


@pytest.fixture
def area(monkeypatch: pytest.MonkeyPatch) -> Iterator[mmap.mmap]:
    """Return memory of this process that a child shares until one of them writes there."""
    monkeypatch.setattr(pages, "_books", {})
    monkeypatch.setattr(pages, "_copied", set())
    monkeypatch.setattr(pages, "_turns", None)
    made = mmap.mmap(-1, COUNT * memory.PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    made.write(bytes(len(made)))
    yield made
    made.close()


@pytest.fixture
def silence() -> Iterator[int]:
    """Return a descriptor that nothing comes from."""
    reader, writer = os.pipe()
    yield reader
    os.close(reader)
    os.close(writer)


def place_of(area: mmap.mmap) -> range:
    start = ctypes.addressof(ctypes.c_char.from_buffer(area))
    return range(start, start + len(area))


def write_to(area: mmap.mmap, numbers: range) -> bool:
    for page in numbers:
        area[page * memory.PAGE] = 1
    return True


def own(area: mmap.mmap) -> list[int]:
    """Return the pages that nobody shares with this process."""
    return [number for number, one in enumerate(memory.own(place_of(area))) if one]


def in_a_child(main: Callable[[], bool]) -> bool:
    return processes.wait(processes.fork(lambda: 0 if main() else 1)) == 0


def lesson(area: mmap.mmap, kind: str, numbers: range) -> None:
    """Let a child of that kind write to pages, and write that down."""

    def main() -> bool:
        write_to(area, numbers)
        pages.learn(kind)
        return True

    assert in_a_child(main)


def test_a_page_is_ones_own_from_the_first_write_on(area: mmap.mmap) -> None:
    assert in_a_child(
        lambda: own(area) == [] and write_to(area, range(10, 20)) and own(area) == [*range(10, 20)]
    )


def test_huge_pages_hold_what_the_small_ones_did_and_are_copied_as_small_ones() -> None:
    made = mmap.mmap(-1, 8 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for page in range(0, len(made), memory.PAGE):
        made[page : page + 8] = page.to_bytes(8)
    memory.make_huge()
    assert all(
        int.from_bytes(made[page : page + 8]) == page for page in range(0, len(made), memory.PAGE)
    )
    assert in_a_child(lambda: write_to(made, range(700, 710)) and own(made) == [*range(700, 710)])
    made.close()


def test_a_copy_can_be_had_without_a_write(area: mmap.mmap) -> None:
    def main() -> bool:
        memory.copy(place_of(area)[: 5 * memory.PAGE])
        return own(area) == [0, 1, 2, 3, 4]

    assert in_a_child(main)


def test_the_next_child_has_what_those_of_its_kinds_wrote_to(area: mmap.mmap, silence: int) -> None:
    pages.open_books()
    lesson(area, pages.RUN, range(100, 200))
    lesson(area, pages.RUN, range(300, 400))
    lesson(area, pages.EXEC, range(150, 250))
    lesson(area, pages.INIT, range(600, 700))

    def main() -> bool:
        pages.copy_for_any(silence)
        return own(area) == [*range(100, 250), *range(300, 400)]

    assert in_a_child(main)


PLACES = {pages.RUN: range(100), pages.EXEC: range(500, 600), pages.OTHER: range(300, 310)}


@pytest.mark.parametrize(
    ("before", "kind"),
    [
        ([pages.EXEC, pages.RUN, pages.RUN], pages.RUN),
        ([pages.RUN, pages.EXEC, pages.EXEC], pages.EXEC),
        ([pages.RUN, pages.OTHER, pages.RUN], pages.OTHER),
        ([pages.RUN, pages.OTHER, pages.RUN, pages.OTHER], pages.RUN),
    ],
)
def test_it_begins_with_what_came_after_one_like_the_last(
    area: mmap.mmap, before: list[str], kind: str
) -> None:
    pages.open_books()
    for one in before:
        lesson(area, one, PLACES[one])
    reader, writer = os.pipe()

    def main() -> bool:
        threading.Timer(0.01, os.write, (writer, b"come")).start()  # before the others' turn
        pages.copy_for_any(reader)
        return own(area) == [*PLACES[kind]]

    assert in_a_child(main)
    os.close(reader)
    os.close(writer)


def test_copies_for_others_are_no_lesson(area: mmap.mmap, silence: int) -> None:
    pages.open_books()
    lesson(area, pages.RUN, range(100))

    def exec_with_copies_for_run() -> bool:
        pages.copy_for_any(silence)
        write_to(area, range(300, 310))
        pages.learn(pages.EXEC)
        return True

    def main() -> bool:
        pages.copy(pages.EXEC, silence)
        return own(area) == [*range(300, 310)]

    assert in_a_child(exec_with_copies_for_run)
    assert in_a_child(main)


def test_three_of_a_kind_are_enough(area: mmap.mmap, silence: int) -> None:
    pages.open_books()
    for first in (0, 100, 200, 300):
        lesson(area, pages.RUN, range(first, first + 10))

    def main() -> bool:
        pages.copy(pages.RUN, silence)
        return own(area) == [*range(10), *range(100, 110), *range(200, 210)]

    assert in_a_child(main)


def test_who_is_called_does_not_go_on_copying(area: mmap.mmap) -> None:
    pages.open_books()
    lesson(area, pages.RUN, range(0, COUNT, 3))  # no two side by side: each is a call of its own
    reader, writer = os.pipe()
    os.write(writer, b"come")

    def main() -> bool:
        pages.copy(pages.RUN, reader)
        return own(area) == []

    assert in_a_child(main)
    os.close(reader)
    os.close(writer)


def test_without_books_nothing_is_copied_nor_learnt(area: mmap.mmap, silence: int) -> None:
    lesson(area, pages.RUN, range(10))

    def main() -> bool:
        pages.copy(pages.RUN, silence)
        return own(area) == []

    assert in_a_child(main)
