from __future__ import annotations

import signal

import pytest

from minirt.container.signals import number
from minirt.errors import InvalidRequest


@pytest.mark.parametrize("text", ["9", "KILL", "SIGKILL", "kill", "sigkill"])
def test_every_spelling_of_a_signal(text: str) -> None:
    assert number(text) == signal.SIGKILL


def test_realtime_signals_are_counted_from_either_end() -> None:
    assert number("RTMIN+3") == signal.SIGRTMIN + 3
    assert number("SIGRTMAX-1") == signal.SIGRTMAX - 1
    assert number("RTMIN") == signal.SIGRTMIN


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "65",
        "-9",
        "FOO",
        "RTMIN+99",
        "RTMAX+1",
        "SIG_IGN",
        "²",
        "9" * 5000,
        f"RTMIN+{'9' * 5000}",
    ],
)
def test_what_is_no_signal_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="Invalid signal"):
        number(text)
