"""The chapters of docs/ lead to what exists, and their transcripts can be caught lying."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from integration import transcripts
from integration.transcripts import Piece

TOP = Path(__file__).parent.parent
CHAPTERS = ["networking.md", "isolation.md"]
BLOCK = """Words.

```console
$ one
out 172.18.0.2
$ two \\
> three
```

More words.

```text
$ not typed
```
"""


def text_of(chapter: str) -> str:
    return (TOP / "docs" / chapter).read_text()


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_link_leads_somewhere(chapter: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", text_of(chapter))
    assert links
    assert [one for one in links if not (TOP / "docs" / one).exists()] == []


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_words_fit_in_a_window(chapter: str) -> None:
    words = re.sub(r"^```.*?^```$", "", text_of(chapter), flags=re.MULTILINE | re.DOTALL)
    assert [line for line in words.splitlines() if len(line) > 120] == []
    commands = [one.command for one in transcripts.pieces(text_of(chapter))]
    assert [line for one in commands for line in one.splitlines() if len(line) > 118] == []


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_shows_much_and_the_readme_leads_to_it(chapter: str) -> None:
    assert len(transcripts.pieces(text_of(chapter))) > 20
    assert f"(docs/{chapter})" in (TOP / "README.md").read_text()


def test_commands_and_what_they_print_are_told_apart() -> None:
    assert transcripts.pieces(BLOCK) == [
        Piece("one", "out 172.18.0.2\n"),
        Piece("two \\\nthree", ""),
    ]


@pytest.mark.parametrize(
    ("said", "now"),
    [
        (f"{'0f' * 32}\n", f"{'ab' * 32}\n"),
        ("br-0123456789ab UP\n", "br-aaaaaaaaaaaa  UP\n"),
        ("eth0@if9         UP\n", "eth0@if14        UP\n"),
        ("12:ba:47:da:74:45\n", "ea:0c:6d:75:93:96\n"),
        ("127.0.0.11:43251\n", "127.0.0.11:50000\n"),
    ],
)
def test_chance_makes_no_difference(said: str, now: str) -> None:
    assert transcripts.differing([Piece("x", said)], [now]) == []


@pytest.mark.parametrize(
    ("said", "now"),
    [
        ("172.18.0.2\n", "172.18.0.3\n"),
        ("02:42:ac:12:00:02\n", "02:42:ac:12:00:03\n"),
        ("vethac120002\n", "vethac120003\n"),
        ("CapBnd: 00000000a80425fb\n", "CapBnd: 00000000a80425ff\n"),
        ("tcp . 8080 : 172.18.0.2 . 80\n", "tcp . 8080 : 172.18.0.2 . 81\n"),
        ("accept\n", "accept\ndrop\n"),
    ],
)
def test_everything_else_does_and_can_be_corrected(said: str, now: str) -> None:
    assert transcripts.differing([Piece("x", said)], [now]) == [(Piece("x", said), now)]
    chapter = f"Words.\n\n```console\n$ x\n{said}$ y\n> z\n```\n"
    corrected = transcripts.corrected(chapter, [now, ""])
    assert corrected == chapter.replace(said, now)
