from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirt.container.flags import environment
from minirt.errors import InvalidRequest

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)


def variables(file: Path, text: str | bytes, *words: str) -> list[str]:
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return environment.variables([str(file)], words, {"FROM_OUTSIDE": "yes"})


def test_a_file_has_a_variable_on_each_line(tmp_path: Path) -> None:
    text = '# comment\n\nA=1\n  B = two words \nC="quoted"\r\nD=a=b#c\nFROM_OUTSIDE\nUNKNOWN\n'
    with pytest.raises(InvalidRequest, match="variable 'B ' contains whitespaces"):
        variables(tmp_path / "env", text)
    assert variables(tmp_path / "env", text.replace("B =", "B=")) == [
        "A=1",
        "B= two words ",
        'C="quoted"',
        "D=a=b#c",
        "FROM_OUTSIDE=yes",
        "UNKNOWN",
    ]


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    assert variables(tmp_path / "env", b"\xef\xbb\xbfA=1") == ["A=1"]


def test_flags_come_after_files(tmp_path: Path) -> None:
    assert variables(tmp_path / "env", "A=file\n", "A=flag") == ["A=file", "A=flag"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"A=1\n=2\n", "no variable name"),
        (b"A=1\nB=\xff\n", "invalid utf8 bytes at line 2"),
        (b"A=1\0\n", "NUL byte"),
    ],
)
def test_a_malformed_file_is_refused_with_its_line(tmp_path: Path, text: bytes, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        variables(tmp_path / "env", text)


def test_a_missing_file_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="No such file"):
        environment.variables(["/nonexistent/env"], [], {})


def test_labels_without_a_value_have_an_empty_one(tmp_path: Path) -> None:
    file = tmp_path / "labels"
    file.write_text("a\nb=1\n")
    assert environment.labels([str(file)], ["b=2", "c=x=y"]) == {"a": "", "b": "2", "c": "x=y"}


@given(st.lists(st.tuples(NAMES, st.text())), st.lists(st.tuples(NAMES, st.text())))
def test_the_last_value_of_a_name_wins_and_each_stands_once(
    below: list[tuple[str, str]], above: list[tuple[str, str]]
) -> None:
    lines = [f"{name}={value}" for name, value in below], [f"{n}={v}" for n, v in above]
    merged = environment.overridden(*lines)
    assert {line.partition("=")[0]: line.partition("=")[2] for line in merged} == dict(
        below + above
    )
    assert len(merged) == len(dict(below + above))
