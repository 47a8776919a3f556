"""What ``top`` makes of the lines of ps(1)."""

from __future__ import annotations

import pytest

from minirt.container.process_list import rows_of
from minirt.errors import InvalidRequest


def test_only_the_rows_of_the_container_are_kept_and_commands_keep_their_blanks() -> None:
    lines = ["USER   PID COMMAND", "root     1 init  --x", "root    12 sh -c  a b", "www    112 x"]
    heads, rows = rows_of(lines, ["12", "112"])
    assert heads == ["USER", "PID", "COMMAND"]
    assert rows == [["root", "12", "sh -c  a b"], ["www", "112", "x"]]


@pytest.mark.parametrize("lines", [["COMMAND"], ["COMMAND", "sleep"]])
def test_a_list_without_pids_is_refused(lines: list[str]) -> None:
    with pytest.raises(InvalidRequest, match="find PID"):
        rows_of(lines, ["1"])
