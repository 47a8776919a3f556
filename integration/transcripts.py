"""Chapters that are scripts as well: what they say a command prints is compared with the truth.

In a chapter, a block that is fenced as "console" has commands, after "$ ", each followed by what
it printed. All blocks of a chapter are one session, typed from top to bottom into one shell.
Further lines of a command begin with "> ". What chance decides (ids, process numbers, times) is
masked in both texts before they are compared. MINIRT_REWRITE_DOCS=1 puts the new output into
a chapter that is not true any more.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from integration.sandbox import REPOSITORY, shell

REWRITE = "MINIRT_REWRITE_DOCS"
BUG = "This is a bug in minirt"  # never to be written into a chapter
_FENCE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MARK = "---- the next command ----"

# Each is replaced, in this order. Only what differs from one run to the next is in here.
MASKS = (
    (r"\b[0-9a-f]{64}\b", "LONG-ID"),
    (r"\b[0-9a-f]{12}\b", "SHORT-ID"),
    (r"\b(?!02:42|00:00|33:33|ff:ff)[0-9a-f]{2}(:[0-9a-f]{2}){5}\b", "MAC"),
    (r"@if\d+", "@ifINDEX"),
    (r'"pid": \d+|"born": \d+', "CHANCE"),
    (r"\b(process|pid|PID|id|index|use)([ =])\d+\b", r"\1\2CHANCE"),
    (r"\b([sd]port(?:=| | set )|to port |127\.0\.0\.11:)\d{5}\b", r"\1PORT"),
    (r"(?m)^(icmp|tcp|udp)( +\d+) \d+ ", r"\1\2 SECONDS "),
    (r"(time[= ]|after )[\d.]+ ?ms", r"\1TIME"),
    (r"(?<=\S) {2,}", " "),  # columns are as wide as what is in them,
    (r"─+", "─"),  # and so are boxes
    (r"(?m)\s+$", ""),
)


@dataclass(frozen=True, slots=True)
class Piece:
    """A command of a chapter, and what it is said to print."""

    command: str
    shown: str


def needs_tools_of_the_chapters() -> pytest.MarkDecorator:
    """Skip a test where nft is older than in Debian 13, from which the chapters' output is."""
    found = shutil.which("nft") and re.search(r"v(\d+)\.(\d+)", shell("nft", "--version").stdout)
    is_old = not found or (int(found[1]), int(found[2])) < (1, 1)
    return pytest.mark.skipif(is_old, reason="the chapters show what nft 1.1 prints")


def pieces(chapter: str) -> list[Piece]:
    """Return the commands of a chapter, in their order."""
    return [piece for block in _FENCE.findall(chapter) for piece in _pieces_of(block)]


def masked(text: str) -> str:
    """Return a text without what chance decided."""
    for pattern, name in MASKS:
        text = re.sub(pattern, name, text)
    return text


def differing(found: list[Piece], printed: list[str]) -> list[tuple[Piece, str]]:
    """Return the pieces that say something else than was printed, with that."""
    pairs = zip(found, printed, strict=True)
    return [(one, now) for one, now in pairs if masked(one.shown) != masked(now)]


def check(chapter: str, names: Mapping[str, object], programs: Mapping[str, str]) -> None:
    """Fail the test if a chapter says of a command what it does not print; or correct it.

    ``names`` are words of the chapter with what they stand for here, and ``programs`` are
    commands that only the chapter has.
    """
    path = REPOSITORY / "docs" / chapter
    text = path.read_text()
    found = pieces(text)
    printed = play([one.command for one in found], names, programs)
    wrong = differing(found, printed)
    if wrong and os.environ.get(REWRITE) and not any(BUG in now for _, now in wrong):
        path.write_text(corrected(text, printed))
        return
    assert not wrong, "\n".join(
        [f"docs/{chapter} is not true any more; {REWRITE}=1 corrects it"]
        + [f"$ {one.command}\n--- said\n{one.shown}--- is\n{now}" for one, now in wrong]
    )


def play(
    commands: list[str], names: Mapping[str, object], programs: Mapping[str, str]
) -> list[str]:
    """Type the commands into one shell, and return what each printed."""
    programs = {"minirt": f"{sys.executable} -m minirt", **programs}
    script = ["exec 2>&1", *(f'{name}() {{ {it} "$@"; }}' for name, it in programs.items())]
    for command in commands:
        typed = command
        for name, thing in names.items():
            typed = re.sub(rf"(?<![\w.]){re.escape(name)}\b", str(thing), typed)
        script += [typed, f"echo '{_MARK}'"]
    text = shell("bash", "-c", "\n".join(script), code=None, seconds=200).stdout
    for name, thing in names.items():
        text = text.replace(str(thing), name)
    printed = text.split(f"{_MARK}\n")
    assert len(printed) == len(commands) + 1, f"the session broke off: {text[-2000:]}"
    return printed[:-1]


def corrected(chapter: str, printed: list[str]) -> str:
    """Return the chapter with all that its commands print now: ids that belong together, too."""
    left = iter(printed)

    def block(match: re.Match[str]) -> str:
        lines = []
        for one in _pieces_of(match[1]):
            typed = one.command.replace("\n", "\n> ")
            lines += [f"$ {typed}", *(line.rstrip() for line in next(left).splitlines())]
        return "\n".join(["```console", *lines, "```"])

    return _FENCE.sub(block, chapter)


def _pieces_of(block: str) -> list[Piece]:
    found: list[Piece] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append(Piece(line[2:], ""))
            continue
        last = found.pop()
        if line.startswith("> ") and not last.shown:
            found.append(Piece(f"{last.command}\n{line[2:]}", ""))
        else:
            found.append(Piece(last.command, f"{last.shown}{line}\n"))
    return found
