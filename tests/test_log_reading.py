from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirt.container import log_writer, logs, record
from minirt.container.log_writer import LogWriter, open_log
from minirt.container.logs import Entry, Wanted
from minirt.container.record import HostConfig, Record
from minirt.errors import InvalidRequest
from minirt.state import made

LINE = '{{"log":"{text}","stream":"{stream}","time":"2026-01-01T00:00:0{second}.000000000Z"}}\n'


def container(log_driver: str = "json-file") -> Record:
    one = Record("ab" * 32, "web", "2026-01-01T00:00:00Z", "busybox", "sha256:00")
    return Record(one.id, one.name, one.created, one.image, one.image_id,
                  host=HostConfig(log_driver=log_driver))  # fmt: skip


def write(text: str) -> None:
    (made(record.directory(container().id)) / "log").write_text(text)


def line(text: str, second: int = 0, stream: str = "stdout") -> str:
    return LINE.format(text=text, stream=stream, second=second)


def texts(wanted: Wanted) -> list[str]:
    return [entry.text for entry in logs.entries(container(), wanted)]


def test_a_container_that_never_ran_has_printed_nothing() -> None:
    assert texts(Wanted()) == []


def test_every_line_comes_with_its_stream() -> None:
    write(line("a\\n") + line("b\\n", stream="stderr"))
    found = list(logs.entries(container(), Wanted()))
    assert [(one.stream, one.text) for one in found] == [("stdout", "a\n"), ("stderr", "b\n")]


def test_output_that_is_not_kept_can_not_be_shown() -> None:
    with pytest.raises(InvalidRequest, match="log-driver none"):
        list(logs.entries(container("none"), Wanted()))


def test_a_line_cut_by_a_full_disk_is_left_out() -> None:
    write(line("a\\n") + '{"log":"b\n' + "[]\n" + line("c\\n") + '{"log":"unfini')
    assert texts(Wanted()) == ["a\n", "c\n"]


def test_times_select_lines() -> None:
    write("".join(line(f"{second}\\n", second) for second in range(5)))
    since, until = (f"2026-01-01T00:00:0{second}.000000000Z" for second in (1, 3))
    assert texts(Wanted(since=since, until=until)) == ["1\n", "2\n", "3\n"]


@pytest.mark.parametrize(
    ("tail", "shown"),
    [(0, []), (1, ["end"]), (2, ["part", "ial\n", "end"]), (9, ["a\n", "part", "ial\n", "end"])],
)
def test_the_tail_counts_lines_and_not_their_pieces(tail: int, shown: list[str]) -> None:
    write(line("a\\n") + line("part") + line("ial\\n") + line("end"))
    assert texts(Wanted(tail=tail)) == shown


def test_following_a_dead_container_ends_at_once() -> None:
    write(line("a\\n"))
    assert texts(Wanted(follow=True)) == ["a\n"]


@contextmanager
def opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY)
    try:
        yield fd
    finally:
        os.close(fd)


@given(st.lists(st.text(alphabet="ab€\n\r\x00\\", max_size=12)), st.integers(0, 8))
def test_what_is_written_is_read_and_its_tail_is_its_end(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[str], tail: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    writer = LogWriter(open_log(path))
    for chunk in chunks:
        writer.write("stdout", chunk.encode())
    writer.close()
    whole = "".join(chunks)
    with opened(path) as fd:
        entries = list(logs._from(fd, 0))
        start = logs.start_of_tail(fd, tail)
        end = list(logs._from(fd, start))
    assert "".join(one.text for one in entries) == whole
    lines = whole.split("\n")
    expected = [one + "\n" for one in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
    assert "".join(one.text for one in end) == "".join(expected[-tail:] if tail else [])


@given(st.lists(st.text(alphabet='ab€"\\/ \x7f', max_size=12).map(str.encode), min_size=1))
def test_plain_lines_are_written_as_any_are(words: list[bytes]) -> None:
    lines = [one + b"\n" for one in [*words, b"\xe2\x82", b"\xff"]]
    assert log_writer._plain(lines, "stderr", "now") == log_writer._any(lines, "stderr", "now")


def test_a_line_of_the_log_is_an_entry() -> None:
    assert logs.parse(line("x").encode()) == Entry("stdout", "2026-01-01T00:00:00.000000000Z", "x")
    assert logs.parse(b"\xff") is None
