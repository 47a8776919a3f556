from __future__ import annotations

import subprocess
import sys

import pytest

# In a process of its own: what is immortal stays so.
BEFORE = """
import gc, json, sys, weakref
from minirt.server import immortal
class Thing: pass
old = [Thing()]
made = immortal.make_all()
"""


def python(text: str) -> str:
    words = [sys.executable, "-c", BEFORE + text]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def test_it_says_whether_this_interpreter_knows_immortal_objects() -> None:
    assert python("print(made)") == f"{sys.version_info >= (3, 12)}\n"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="objects are immortal since Python 3.12")
@pytest.mark.parametrize(
    "one",
    [
        *("json", "json.dumps", "json.dumps.__code__", "json.dumps.__code__.co_consts"),
        *("old", "old[0]"),
    ],
)
def test_what_was_there_is_not_counted_any_more(one: str) -> None:
    text = f"""
before = sys.getrefcount({one})
held = [{one}] * 9
print(sys.getrefcount({one}) - before)
"""
    assert python(text) == "0\n"


def test_what_comes_later_is_counted_and_dies() -> None:
    text = """
new = Thing()
gone = weakref.ref(new)
before = sys.getrefcount(new)
held = [new] * 9
print(sys.getrefcount(new) - before, gone() is new)
del new, held
print(gone())
"""
    assert python(text) == "9 True\nNone\n"


def test_the_collector_still_finds_circles() -> None:
    text = """
gc.freeze()
one, other = Thing(), Thing()
one.other, other.one = other, one
gone = weakref.ref(one)
del one, other
gc.collect()
print(gone())
"""
    assert python(text) == "None\n"


def test_an_interpreter_with_immortal_objects_ends_as_others_do() -> None:
    assert python("print(json.dumps({'a': [1]}))") == '{"a": [1]}\n'
