"""One poll loop, and queues for descriptors that are not always ready to be written.

No threads: a process that forks must not have any (fork(2), "async-signal-safe").
"""

from __future__ import annotations

import selectors
import time
from collections import deque
from collections.abc import Callable, Iterable

Call = Callable[[], object]


class Loop:
    """poll(2), with one call for "readable" and one for "writable" of each descriptor."""

    def __init__(self) -> None:
        self._selector = selectors.PollSelector()  # Unlike epoll it takes regular files too.
        self._calls: dict[int, dict[int, Call]] = {}
        self._timers: list[tuple[float, Call]] = []

    def on_readable(self, fd: int, call: Call | None) -> None:
        """Call ``call`` whenever ``fd`` can be read; None: no longer."""
        self._set(fd, selectors.EVENT_READ, call)

    def on_writable(self, fd: int, call: Call | None) -> None:
        """Call ``call`` whenever ``fd`` can be written; None: no longer."""
        self._set(fd, selectors.EVENT_WRITE, call)

    def forget(self, fd: int) -> None:
        """Forget ``fd``; to be called before it is closed."""
        if self._calls.pop(fd, None):
            self._selector.unregister(fd)

    def keep_only(self, fds: Iterable[int]) -> None:
        """Forget all descriptors but these, and whatever was to be called later."""
        for fd in set(self._calls) - set(fds):
            self.forget(fd)
        self._timers.clear()

    def call_after(self, seconds: float, call: Call) -> None:
        """Call ``call`` once, when ``seconds`` have gone by."""
        self._timers.append((time.monotonic() + seconds, call))

    def turn(self, seconds: float | None = None) -> bool:
        """Wait until something happens and deal with it; say whether anything did."""
        if self._timers:
            next_one = max(0.0, min(when for when, _ in self._timers) - time.monotonic())
            seconds = next_one if seconds is None else min(seconds, next_one)
        happened = self._selector.select(seconds)
        self._ring()
        for key, events in happened:
            for event in (selectors.EVENT_WRITE, selectors.EVENT_READ):
                # Asked again each time: an earlier call may have dropped this one.
                call = self._calls.get(key.fd, {}).get(event & events)
                if call:
                    call()
        return bool(happened)

    def _ring(self) -> None:
        now = time.monotonic()
        due = [call for when, call in self._timers if when <= now]
        self._timers = [(when, call) for when, call in self._timers if when > now]
        for call in due:
            call()

    def _set(self, fd: int, event: int, call: Call | None) -> None:
        calls = self._calls.get(fd, {})
        known = bool(calls)
        calls = {one: kept for one, kept in calls.items() if one != event}
        if call is not None:
            calls[event] = call
        self._calls[fd] = calls
        if calls and known:
            self._selector.modify(fd, sum(calls))
        elif calls:
            self._selector.register(fd, sum(calls))
        elif known:
            self._selector.unregister(fd)


class Outbox:
    """What waits for a descriptor to take it.

    ``write`` takes a piece and returns how many bytes of it are done, as write(2) and
    send(2) do. An empty piece means "the end": ``on_end`` is called when its turn comes.
    """

    def __init__(
        self, loop: Loop, fd: int, write: Callable[[bytes], int], on_end: Call, on_room: Call
    ) -> None:
        self._loop, self._fd, self._write = loop, fd, write
        self._on_end, self._on_room = on_end, on_room
        self._waiting: deque[bytes] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, piece: bytes) -> None:
        """Write ``piece`` now or as soon as there is room."""
        self._waiting.append(piece)
        if len(self._waiting) == 1:
            self._push()

    def _push(self) -> None:
        try:
            while self._waiting:
                piece = self._waiting[0]
                if not piece:
                    raise BrokenPipeError  # The end that was asked for, or that of the reader.
                done = self._write(piece)
                if done < len(piece):
                    self._waiting[0] = piece[done:]
                else:
                    self._waiting.popleft()
        except BlockingIOError:
            self._loop.on_writable(self._fd, self._push_more)
        except OSError:
            self._waiting.clear()
            self._loop.on_writable(self._fd, None)
            self._on_end()
        else:
            self._loop.on_writable(self._fd, None)

    def _push_more(self) -> None:
        self._push()
        self._on_room()
