from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirt.container.detaching import DEFAULT, Keys, keys
from minirt.errors import InvalidRequest


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", DEFAULT),
        ("ctrl-p,ctrl-q", b"\x10\x11"),
        ("a", b"a"),
        ("ctrl-x,x", b"\x18x"),
        ("ctrl-@", b"\0"),
        ("ctrl-[", b"\x1b"),
        ("ctrl-_", b"\x1f"),
    ],
)
def test_how_keys_are_written(text: str, expected: bytes) -> None:
    assert keys(text) == expected


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-P", "ab", "a,,b", "alt-x", "ä"])
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(InvalidRequest, match="Unknown character"):
        keys(text)


@given(st.lists(st.binary(max_size=4)), st.sampled_from([b"ab", b"aab", b"a", b"abab"]))
def test_keys_are_found_wherever_they_are_cut(pieces: list[bytes], sequence: bytes) -> None:
    text = b"".join(pieces)
    watch, passed, complete = Keys(sequence), b"", False
    for piece in [*pieces, b"!"]:
        now, complete = watch.take(piece)
        passed += now
        if complete:
            break
    assert complete == (sequence in text)
    assert passed == (text.partition(sequence)[0] if complete else text + b"!")
