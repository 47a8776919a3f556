from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirt.container import tables, times
from minirt.container.templates.values import Fields
from minirt.errors import InvalidRequest

HEADERS = {"Name": "NAME", "ID": "THE ID"}
CELLS = st.text(alphabet=st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=20)


def rows(*names: str) -> list[Fields]:
    return [Fields(Name=name, ID=str(number)) for number, name in enumerate(names)]


def test_columns_stand_under_their_heads_with_dockers_widths() -> None:
    assert tables.show(rows("a", "a long name"), HEADERS, ("Name", "ID")) == (
        "NAME          THE ID\na             0\na long name   1\n"
    )


def test_a_narrow_column_has_ten_characters_and_the_last_ends_with_its_text() -> None:
    assert tables.show(rows("a"), HEADERS, ("Name", "ID")).splitlines()[1] == "a         0"


def test_an_empty_list_is_its_heads() -> None:
    assert tables.show([], HEADERS, ("Name", "ID")) == "NAME      THE ID\n"
    assert tables.show([], HEADERS, ("Name",), "{{.Name}}") == ""


@pytest.mark.parametrize("form", ["json", "{{json .}}"])
def test_json_is_an_object_on_each_line_with_sorted_keys(form: str) -> None:
    assert tables.show(rows("a"), HEADERS, ("Name",), form) == '{"ID":"0","Name":"a"}\n'


def test_a_template_prints_a_line_for_each_row() -> None:
    shown = tables.show(rows("a", "b"), HEADERS, ("Name",), r"{{.Name}}\t{{upper .ID}}")
    assert shown == "a\t0\nb\t1\n"


def test_escapes_are_read_outside_of_actions_only() -> None:
    assert tables.show(rows("a"), HEADERS, (), r'\n{{"\n"}}{{.Name}}') == "\n\na\n"


def test_a_table_of_ones_own_columns_has_their_heads() -> None:
    shown = tables.show(rows("a"), HEADERS, (), r'table {{.ID}}\t{{.Name}}\t{{.Label "key"}}')
    assert shown.splitlines()[0].split() == ["THE", "ID", "NAME", "key"]


def test_label_prints_the_value_of_a_label_also_without_a_table() -> None:
    (row,) = rows("a")
    row.labels = {"key": "value"}
    shown = tables.show([row], HEADERS, (), r'{{.Label "key"}}, {{.Label "none"}}.')
    assert shown == "value, .\n"
    shown = tables.show([row], HEADERS, (), r'table {{.Name}}\t{{.Label "key"}}')
    assert shown.splitlines()[1].split() == ["a", "value"]


def test_a_template_that_can_not_be_read_is_refused_even_for_an_empty_list() -> None:
    with pytest.raises(InvalidRequest, match="unclosed action"):
        tables.show([], HEADERS, (), "{{.Name")


def test_an_unknown_column_is_refused_even_of_an_empty_list() -> None:
    with pytest.raises(InvalidRequest, match="can't evaluate field Foo"):
        tables.show([], HEADERS, (), "table {{.Foo}}")


def test_control_characters_can_not_reach_the_terminal() -> None:
    shown = tables.show(rows("\x1b[2J\r\x07"), HEADERS, ("Name",))
    assert shown.splitlines()[1] == r"\x1b[2J\r\x07"
    assert "\x1b" not in tables.show(rows("\x1b"), HEADERS, (), "{{.Name}}")


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1))
def test_every_column_begins_at_one_place(cells: list[tuple[str, str]]) -> None:
    lines = tables.aligned(cells).split("\n")
    width = max(10, max(len(first) for first, _ in cells) + 3)
    assert [line[width:] for line in lines[:-1]] == [second for _, second in cells]


@given(st.text())
def test_shortened_texts_are_never_too_long(text: str) -> None:
    short = tables.shortened(text, 20)
    assert len(short) <= 20
    assert short == text or text.startswith(short[:-1])


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "Less than a second"),
        (1.9, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (120, "2 minutes"),
        (3599, "59 minutes"),
        (3600, "About an hour"),
        (2 * 3600, "2 hours"),
        (47 * 3600, "47 hours"),
        (48 * 3600, "2 days"),
        (14 * 86400, "2 weeks"),
        (60 * 86400, "2 months"),
        (800 * 86400, "2 years"),
        (-5, "Less than a second"),
    ],
)
def test_durations_are_told_in_dockers_steps(seconds: float, told: str) -> None:
    assert times.duration(seconds) == told


def test_moments_are_read_in_every_form() -> None:
    assert times.since("1790000000", "--since") == "2026-09-21T14:13:20.000000000Z"
    assert times.since("1790000000.5", "--since") == "2026-09-21T14:13:20.500000000Z"
    assert times.since("2026-09-21T14:13:20.123456789Z", "-") == "2026-09-21T14:13:20.123456789Z"
    assert times.since("2026-09-21T16:13:20+02:00", "-") == "2026-09-21T14:13:20.000000000Z"
    assert times.since("2026-09-21T14Z", "-") == "2026-09-21T14:00:00.000000000Z"
    assert times.since("2026-09-21Z", "-") == "2026-09-21T00:00:00.000000000Z"
    ago = times.seconds(times.since("1h1m30s", "--since"))
    assert time.time() - ago == pytest.approx(3690, abs=5)


@pytest.mark.parametrize("text", ["", "yesterday", "-10", "1x", "2026-13-01", "2026-01-01T99"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="Invalid value for --since"):
        times.since(text, "--since")


def test_lists_show_moments_like_docker() -> None:
    assert times.plain("2026-11-24T06:37:10.560343129Z") == "2026-11-24 06:37:10 +0000 UTC"
