"""Boxes and lines of text, and how they are put beside and below each other."""

from __future__ import annotations

from collections.abc import Sequence

ASCII = str.maketrans("┌┐└┘├┤┬┴┼─│═", "++++++++" + "+-|=")
TRUNK = 2  # the column of the line that ties rows together


def box(lines: Sequence[str], *, width: int = 0, top: int = -1, bottom: int = -1) -> list[str]:
    """Return lines in a box; ``top`` and ``bottom`` are columns where a line goes in or out."""
    inner = max([width - 4, *map(len, lines)])
    above = _edge("┌", "┐", inner + 4, top, "┴")
    below = _edge("└", "┘", inner + 4, bottom, "┬")
    return [above, *(f"│ {line.ljust(inner)} │" for line in lines), below]


def beside(blocks: Sequence[Sequence[str]], gap: int = 2) -> list[str]:
    """Put blocks beside each other, their last lines level."""
    height = max(map(len, blocks), default=0)
    columns = []
    for block in blocks:
        width = max(map(len, block), default=0)
        empty = [" " * width] * (height - len(block))
        columns.append([*empty, *(line.ljust(width) for line in block)])
    return [(" " * gap).join(row) for row in zip(*columns, strict=True)]


def rows(blocks: Sequence[Sequence[str]], width: int, gap: int = 2) -> list[list[Sequence[str]]]:
    """Divide blocks into rows that are no wider than ``width``, each at least one block long."""
    found: list[list[Sequence[str]]] = []
    room = 0
    for block in blocks:
        needed = max(map(len, block)) + gap
        if not found or room < needed - gap:
            found.append([])
            room = width
        found[-1].append(block)
        room -= needed
    return found


def bus(line: str, first: bool, indent: int) -> str:
    """Return the line that ties what hangs above it ("│" in ``line``) to the trunk at the left."""
    last = line.rstrip().rfind("│") + indent
    corner = "┌" if first else "├"
    drawn = [" "] * TRUNK + [corner] + ["─"] * (last - TRUNK)
    for column, character in enumerate(line):
        if character == "│":
            drawn[column + indent] = "┘" if column + indent == last else "┴"
    return "".join(drawn)


def _edge(left: str, right: str, width: int, column: int, mark: str) -> str:
    line = left + "─" * (width - 2) + right
    return line if column < 0 else line[:column] + mark + line[column + 1 :]
