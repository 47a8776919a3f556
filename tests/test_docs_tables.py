"""What docs/ and the README name exists: files, functions, tests. Rows of tables name tests."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
PAGES = [TOP / "README.md", *sorted((TOP / "docs").rglob("*.md"))]
# `FILE`, `FILE:function` and `FILE::test`. A file is named from the top, or below minirt/.
REFERENCE = re.compile(
    r"`((?:minirt|tests|integration|tools|bench)/[\w./-]+|[\w./-]+/[\w-]+\.(?:py|nft))"
    r"(?:::?(\w+))?`"
)
TEST = re.compile(r"`([\w./-]+)::(\w+)`")  # docs/oci.md leaves out the folder and ".py"
MADE_BY_PROGRAMS = {"bench/results/"}


def file_of(name: str) -> Path | None:
    folders = (TOP, TOP / "minirt", TOP / "integration", TOP / "tests")
    paths = (folder / f"{name}{end}" for folder in folders for end in ("", ".py"))
    return next((path for path in paths if path.exists()), None)


@functools.cache
def names_in(path: Path) -> frozenset[str]:
    """Return what a file of Python defines at its top: functions, classes, constants."""
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found.update(ast.unparse(one) for one in targets)
    return frozenset(found)


def missing_in(text: str) -> Iterator[str]:
    """Yield the references of a text that lead nowhere."""
    for file, name in sorted({*REFERENCE.findall(text), *TEST.findall(text)}):
        path = file_of(file)
        if path is None:
            if file not in MADE_BY_PROGRAMS:
                yield f"there is no {file}"
        elif name and name not in names_in(path):
            yield f"{file} has no {name}"


def test_each_file_function_and_test_that_is_named_exists() -> None:
    missing = [
        f"{page.relative_to(TOP)}: {what}"
        for page in PAGES
        for what in missing_in(page.read_text())
    ]
    assert not missing, "\n".join(missing)


def test_a_name_that_does_not_exist_is_found() -> None:
    """The control for the test above."""
    text = "`minirt/no.py` `minirt/state.py:no` `state.py:no` `tests/test_zone.py::test_no` "
    text += "`test_zone::test_no` `test_no::test_no` `testing/test_zone.py::test_no` `kernel/no.py`"
    assert list(missing_in(text)) == [
        "there is no kernel/no.py",
        "there is no minirt/no.py",
        "minirt/state.py has no no",
        "there is no test_no",
        "test_zone has no test_no",
        "there is no testing/test_zone.py",
        "tests/test_zone.py has no test_no",
    ]


def test_pages_that_live_on_references_have_many() -> None:
    least = {"attacks.md": 250, "docker.md": 40, "networking-cases.md": 200, "oci.md": 50}
    least |= {"tour.md": 25, "isolation.md": 10}
    few = {
        name: count
        for name, wanted in least.items()
        for text in [(TOP / "docs" / name).read_text()]
        if (count := len({*REFERENCE.findall(text), *TEST.findall(text)})) <= wanted
    }
    assert few == {}


def rows_of(page: str) -> list[tuple[str, str]]:
    """Return the number of each row, and all that stands behind it."""
    text = (TOP / "docs" / page).read_text()
    return re.findall(r"^\| ((?:B|D)?\d+) \| (.+) \|$", text, re.MULTILINE)


def test_each_attack_has_a_number_of_its_own_in_ascending_order() -> None:
    numbers = [int(number) for number, _ in rows_of("attacks.md")]
    assert numbers == sorted(set(numbers))


def test_every_row_names_a_test() -> None:
    rows = {page: rows_of(page) for page in ("attacks.md", "docker.md", "oci.md")}
    assert all(len(of_page) > 20 for of_page in rows.values())
    without = [f"{page}: {n}" for page in rows for n, rest in rows[page] if "test_" not in rest]
    assert not without, "\n".join(without)
