"""Of several arguments each is begun with before the first is waited for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from minirt.commands import each
from minirt.errors import NotFound


@pytest.mark.parametrize("count", [0, 1, 3, each.AT_ONCE, each.AT_ONCE + 1, 3 * each.AT_ONCE])
def test_so_many_are_begun_with_before_the_first_is_waited_for(
    count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    under_way: set[str] = set()
    most = 0

    def begin(one: str) -> Callable[[], object]:
        nonlocal most
        under_way.add(one)
        most = max(most, len(under_way))
        return lambda: under_way.remove(one)

    names = [str(number) for number in range(count)]
    assert each.for_each_at_once(names, begin) == 0
    assert most == min(count, each.AT_ONCE)
    assert capsys.readouterr().out.split() == names


@pytest.mark.parametrize("when", ["at the beginning", "at the end"])
@pytest.mark.parametrize("error", [NotFound("no such thing"), OSError(5, "Input/output error")])
def test_one_that_fails_is_told_in_its_turn_and_keeps_nobody(
    when: str, error: Exception, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    def begin(one: str) -> Callable[[], object]:
        if one == "bad" and when == "at the beginning":
            fail()
        return fail if one == "bad" else lambda: f"{one} is done"

    assert each.for_each_at_once(["first", "bad", "last"], begin) == 1
    told = capfd.readouterr()
    assert told.out == "first is done\nlast is done\n"
    assert "no such thing" in told.err or "Input/output error" in told.err
