"""The processes of a container, as the host's ps(1) lists them; Docker asks the same program.

ps(1) chooses the columns and writes the heads. What it lists is cut down to the container's
processes, which are those of its cgroup. The container decides how many there are, and how long
their command lines: only so much of either is kept.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from minirt.container import lifecycle
from minirt.container.record import Record
from minirt.errors import InvalidRequest, NotFound

DEFAULT = ("-ef",)
NARROWEST = 20  # characters: a column of "docker top"
MOST = 10_000  # processes that are listed
LONGEST = 4096  # bytes of a line that are shown
CROWD, LONGEST_IN_CROWD = 500, 256  # beyond so many processes, only so many bytes of each line
_CUT = " …"  # stands after what is shown of a longer line


@dataclass(frozen=True, slots=True)
class ProcessTable:
    """What ``top`` prints."""

    heads: list[str]
    rows: list[list[str]]
    left_out: int  # how many more processes there are


def table(one: Record, options: Sequence[str]) -> ProcessTable:
    """List the processes; ``options`` are those of ps(1): ``-ef``, ``aux``, ``-o pid,comm``.

    Raises InvalidRequest; NotFound if there is no ps(1).
    """
    pids = [str(pid) for pid in sorted(lifecycle.group_of(one).pids())]
    listed, left_out = pids[:MOST], len(pids[MOST:])
    longest = LONGEST if len(pids) <= CROWD else LONGEST_IN_CROWD
    words = tuple(options) or DEFAULT
    try:
        lines = _ps(*words, f"-q{','.join(listed)}", longest=longest)
        heads, rows = rows_of(lines, listed)
    except InvalidRequest:  # Some options, as "f" and "-C", cannot be used together with -q.
        heads, rows = rows_of(_ps(*words, longest=longest), listed)
    return ProcessTable(heads, rows, left_out)


def _ps(*words: str, longest: int) -> Iterator[str]:
    """Yield the lines that ps(1) prints, each cut to ``longest`` bytes. Raises InvalidRequest."""
    # Without COLUMNS and a terminal ps(1) does not cut lines at the width of one.
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    with _started(["ps", *words], environment) as ps:
        assert ps.stdout and ps.stderr
        yield from _cut_lines(ps.stdout, longest)
        complaint = ps.stderr.read(LONGEST).decode(errors="replace").strip()
    if ps.returncode:
        why = complaint.splitlines()[0] if complaint else f"exit status {ps.returncode}"
        raise InvalidRequest(f"ps cannot list that: {why}", "", "man ps lists its options.")


def _started(words: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    try:
        return subprocess.Popen(words, env=environment, **pipes)  # type: ignore[call-overload,no-any-return]
    except FileNotFoundError:
        remedy = "Install it: apt install procps."
        raise NotFound("Cannot list processes: the host has no ps", "", remedy) from None


def _cut_lines(file: IO[bytes], longest: int) -> Iterator[str]:
    while line := file.readline(longest + 1):
        text = line[:longest].decode(errors="replace").rstrip("\n")
        yield text + (_CUT if len(line) > longest else "")
        while line and not line.endswith(b"\n"):
            line = file.readline(longest)


def rows_of(lines: Iterable[str], pids: Collection[str]) -> tuple[list[str], list[list[str]]]:
    """Split the lines of ps(1) into heads and rows, and keep the rows of ``pids``.

    Raises InvalidRequest if there is no column of pids.
    """
    wanted, every = set(pids), iter(lines)
    heads = next(every, "").split()
    if heads and "PID" not in heads:
        raise InvalidRequest("Couldn't find PID field in ps output", "", "Add the column pid.")
    column = heads.index("PID") if heads else 0
    # The last column is the command line, which has blanks in it.
    cells = (line.split(None, len(heads) - 1) for line in every)
    return heads, [row for row in cells if len(row) > column and row[column] in wanted]
