from __future__ import annotations

import os

import pytest

from minirt.container import process_list
from minirt.errors import InvalidRequest


def test_a_process_is_read_as_the_kernel_tells_it() -> None:
    one = process_list.read(os.getpid())
    assert one is not None
    assert (one.pid, one.parent, one.uid) == (os.getpid(), os.getppid(), os.geteuid())
    assert one.resident > 1 << 20
    assert "python" in one.command or "pytest" in one.command


def test_a_process_that_has_ended_is_not_listed() -> None:
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    assert process_list.read(pid) is None


def test_columns_are_those_of_ps() -> None:
    one = process_list.read(os.getpid())
    assert one is not None
    heads, row = process_list.table([one], ())
    assert tuple(heads) == process_list.DEFAULT
    assert row[1] == str(os.getpid())
    assert process_list.table([one], ("-o", "pid,comm"))[0] == ["PID", "COMMAND"]
    assert process_list.table([], ("-eo", "user,args"))[0] == ["USER", "COMMAND"]
    assert process_list.table([], ("aux",))[0][0] == "USER"


@pytest.mark.parametrize("words", [("-o", "foo"), ("--forest",), ("-o",)])
def test_what_top_does_not_know_is_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(InvalidRequest, match="top"):
        process_list.table([], words)


@pytest.mark.parametrize(
    ("seconds", "clock"), [(0, "00:00:00"), (67.9, "00:01:07"), (3600 * 30, "30:00:00")]
)
def test_processor_time_is_told_like_a_clock(seconds: float, clock: str) -> None:
    assert process_list.clock(seconds) == clock


def test_terminals_have_names() -> None:
    assert process_list.terminal(os.makedev(136, 3)) == "pts/3"
    assert process_list.terminal(0) == "?"
