"""Reads what a container has printed, and what it is printing.

Nothing is asked again and again: inotify(7) tells that the log has grown, the monitor's pidfd
that nothing more will come. The log is read once more after that.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from minirt.container import alive, lifecycle, record, times
from minirt.container.record import Record
from minirt.errors import InvalidRequest
from minirt.kernel import inotify
from minirt.state import parse_json

BLOCK = 64 << 10  # bytes that are read at once


@dataclass(frozen=True, slots=True)
class Entry:
    """A line, or a part of one that is longer than an entry."""

    stream: str  # "stdout" or "stderr"
    time: str  # RFC 3339, with nanoseconds
    text: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines: the last ``tail`` of them, and of these the ones within the times."""

    tail: int = -1  # -1: all
    since: str = ""  # RFC 3339, with nanoseconds
    until: str = ""
    follow: bool = False


def entries(one: Record, wanted: Wanted) -> Iterator[Entry]:
    """Return the lines of a container's log; with ``follow`` wait for more while it lives.

    Raises InvalidRequest if its output is not kept.
    """
    if one.host.log_driver == "none":
        why = "its output is not kept (--log-driver none)"
        raise InvalidRequest(f"Container {one.name} has no log", why)
    with ExitStack() as held:
        growth = _Growth(one, held) if wanted.follow else None
        try:
            fd = os.open(record.directory(one.id) / "log", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return  # It was never started.
        held.callback(os.close, fd)
        yield from _selected(_followed(fd, wanted, growth), wanted)


def _selected(found: Iterator[Entry], wanted: Wanted) -> Iterator[Entry]:
    for entry in found:
        if wanted.until and entry.time > wanted.until:
            return
        if entry.time >= wanted.since:
            yield entry


def _followed(fd: int, wanted: Wanted, growth: _Growth | None) -> Iterator[Entry]:
    """Return entries from the first that is wanted; wait for more while there may be some."""
    position = 0 if wanted.tail < 0 else start_of_tail(fd, wanted.tail)
    alive = growth is not None
    while True:
        position = yield from _from(fd, position)
        if not alive or growth is None:
            return
        alive = growth.wait(_seconds_until(wanted.until))


def _from(fd: int, position: int) -> Generator[Entry, None, int]:
    """Return the entries from ``position`` on, then the position of what has no end yet."""
    rest = b""
    while data := os.pread(fd, BLOCK, position + len(rest)):
        *lines, end = (rest + data).split(b"\n")
        position += sum(len(line) + 1 for line in lines)
        rest = end
        for line in lines:
            entry = parse(line)
            if entry is not None:
                yield entry
    return position


def parse(line: bytes) -> Entry | None:
    """Read an entry; None for what a full disk has cut."""
    try:
        document = parse_json(line)
        return Entry(document["stream"], document["time"], document["log"])
    except (ValueError, KeyError, TypeError):
        return None


def start_of_tail(fd: int, lines: int) -> int:
    """Return where the last ``lines`` lines of a log begin, looking at it from its end."""
    counted, is_last = 0, True  # lines that begin after an entry; a long line has several
    for start, line in _lines_backwards(fd, os.fstat(fd).st_size):
        entry = parse(line)
        counted += is_last or (entry is not None and entry.text.endswith("\n"))
        if counted > lines:
            return start + len(line) + 1
        is_last = False
    return 0


def _lines_backwards(fd: int, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield where each line begins, and the line, from the last that has an end to the first."""
    position, rest, is_whole = size, b"", False  # What follows the last newline is being written.
    while position:
        length = min(BLOCK, position)
        position -= length
        first, *others = (os.pread(fd, length, position) + rest).split(b"\n")
        start = position + len(first) + sum(len(line) + 1 for line in others) + 1
        for line in reversed(others):
            start -= len(line) + 1
            if is_whole:
                yield start, line
            is_whole = True
        rest = first
    if is_whole:
        yield 0, rest


def _seconds_until(moment: str) -> float | None:
    return max(times.seconds(moment) - time.time(), 0.0) if moment else None


class _Growth:
    """Tells that a container's log has grown, or won't any more."""

    def __init__(self, one: Record, held: ExitStack) -> None:
        self.one, self.held = one, held
        self.monitor: int | None = None
        self.events = inotify.instance()
        held.callback(os.close, self.events)
        mask = inotify.MODIFY | inotify.CREATE | inotify.MOVED_TO
        for folder in (record.directory(one.id), record.run_directory(one.id)):
            try:
                inotify.watch(self.events, folder, mask | inotify.DELETE)
            except FileNotFoundError:
                continue  # It doesn't run.

    def wait(self, seconds: float | None) -> bool:
        """Wait until there may be more; say whether there may be still more afterwards."""
        poll = select.poll()
        poll.register(self.events, select.POLLIN)
        if self.monitor is None:
            self.monitor = self._find_monitor()
        if self.monitor is not None:
            poll.register(self.monitor, select.POLLIN)
        elif not alive.is_held(self.one.id):
            return False
        ready = dict(poll.poll(None if seconds is None else seconds * 1000))
        list(inotify.events(self.events))
        return bool(ready) and self.monitor not in ready

    def _find_monitor(self) -> int | None:
        pidfd = lifecycle.open_monitor(self.one)
        if pidfd is not None:
            self.held.callback(os.close, pidfd)
        return pidfd
