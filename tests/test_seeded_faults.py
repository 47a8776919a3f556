"""The faults of tools/seeded_faults.py can be made, and the tests that must catch them exist.

That they are caught is for the tool itself to say: it takes some minutes, and root.
"""

from __future__ import annotations

from pathlib import Path

from tools.seeded_faults import FAULTS, TOP


def test_at_least_twenty_different_faults_are_seeded() -> None:
    assert len({one.name for one in FAULTS}) == len(FAULTS) >= 20
    assert len({(one.file, one.old, one.new) for one in FAULTS}) == len(FAULTS)


def test_text_of_each_fault_is_found_exactly_once() -> None:
    counts = {one.name: (TOP / one.file).read_text().count(one.old) for one in FAULTS}
    assert {name: count for name, count in counts.items() if count != 1} == {}
    assert [one.name for one in FAULTS if one.old == one.new] == []


def test_tests_that_must_catch_a_fault_exist() -> None:
    tests = {test for one in FAULTS for test in one.tests}
    missing = [test for test in sorted(tests) if not exists(*test.partition("::")[::2])]
    assert missing == []


def test_fault_in_python_is_still_python() -> None:
    for one in FAULTS:
        if one.file.endswith(".py"):
            text = (TOP / one.file).read_text()
            compile(text.replace(one.old, one.new), one.file, "exec")


def exists(file: str, name: str) -> bool:
    path: Path = TOP / file
    return path.is_file() and (not name or f"\ndef {name}(" in path.read_text())
