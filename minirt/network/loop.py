"""One epoll(7) loop with timers: the whole scheduling of the resolver.

No threads and no coroutines: a callback runs to its end, so nothing needs a lock, and none
of them may wait for anything.
"""

from __future__ import annotations

import errno
import heapq
import select
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

READ, WRITE = select.EPOLLIN, select.EPOLLOUT

_FEW_TIMERS = 1024  # So many may be kept, even if all are cancelled.
_MOST_TRACEBACKS = 20  # Who can provoke one must not be able to fill the disk with them.


@dataclass(slots=True)
class Timer:
    """A call in the future, until it is cancelled."""

    call: Callable[[], None] | None

    def cancel(self) -> None:
        """Forget the call; harmless when it has been made."""
        self.call = None


class Loop:
    """Calls back when a descriptor is ready or a moment has come."""

    def __init__(self) -> None:
        self._poll: select.epoll | select.poll = select.epoll()
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._second = 1  # in the unit of the time limit that poll() takes
        self._events: dict[int, int] = {}  # of each descriptor
        self._timers: list[tuple[float, int, Timer]] = []
        self._most_timers = _FEW_TIMERS
        self._number = count()  # Two timers of the same moment need an order.
        self._tracebacks = 0
        self._going = True

    def watch(self, fd: int, callback: Callable[[], None], events: int = READ) -> None:
        """Call ``callback`` whenever ``fd`` is ready; one callback per descriptor."""
        try:
            if fd in self._callbacks:
                self._poll.modify(fd, events)
            else:
                self._poll.register(fd, events)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            self._do_without_epoll()
            self._poll.register(fd, events)
        self._callbacks[fd], self._events[fd] = callback, events

    def forget(self, fd: int) -> None:
        """Stop watching; needed *before* ``fd`` is closed.

        epoll watches the open file, not its number: if another process holds the same
        socket, events would go on coming for a number that we no longer have.
        """
        if self._callbacks.pop(fd, None) is not None:
            del self._events[fd]
            self._poll.unregister(fd)

    def later(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Call once, after ``seconds``."""
        timer = Timer(call)
        if len(self._timers) >= self._most_timers:
            self._sweep()
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._number), timer))
        return timer

    def stop(self) -> None:
        """Let :meth:`run` return after the present turn."""
        self._going = False

    def run(self) -> None:
        """Run until stopped. What a callback raises is written to stderr, and goes no further."""
        while self._going:
            for fd, _ in self._poll.poll(self._patience()):
                callback = self._callbacks.get(fd)
                if callback is not None:  # An earlier callback of this turn may have closed it.
                    self._call(callback)
            if self._timers:
                self._ring(time.monotonic())

    def _do_without_epoll(self) -> None:
        """Go on with poll(2), which needs no memory of the kernel's that is counted by user.

        A container without a user namespace can run processes of the resolver's user, and these
        can use up that user's watches (epoll(7), max_user_watches).
        """
        self._poll, self._second = select.poll(), 1000
        for fd, events in self._events.items():
            self._poll.register(fd, events)

    def _sweep(self) -> None:
        """Throw the cancelled timers away: nearly all are, long before their time."""
        self._timers = [entry for entry in self._timers if entry[2].call is not None]
        heapq.heapify(self._timers)
        self._most_timers = max(_FEW_TIMERS, 2 * len(self._timers))

    def _patience(self) -> float | None:
        while self._timers and self._timers[0][2].call is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return None
        return max(0.0, self._timers[0][0] - time.monotonic()) * self._second

    def _ring(self, now: float) -> None:
        while self._timers and self._timers[0][0] <= now:
            timer = heapq.heappop(self._timers)[2]
            call, timer.call = timer.call, None
            if call is not None:
                self._call(call)

    def _call(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception:  # One container's packet must never cost another one its names.
            self._tracebacks += 1
            if self._tracebacks <= _MOST_TRACEBACKS:
                traceback.print_exc(file=sys.stderr)
