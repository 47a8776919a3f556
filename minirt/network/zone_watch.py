"""Keep zones true: hear from the kernel which leases to read again.

Nothing runs when something changes. inotify(7) collects, and :meth:`Watch.catch_up` is
called for each query, after it has arrived and before it is answered: whatever was true before
the question was asked is therefore in the answer, and an idle resolver sleeps.

The death of a lease's holder closes the file, which is an event (IN_CLOSE_WRITE); its lock
falls a moment *later*. So a lease that was closed but is still locked stays in doubt for a
second, and is read again for each query until it is free.

A user may have 128 inotify instances. Without one, all leases are read for every query.
"""

from __future__ import annotations

import select
import time
from pathlib import Path

from minirt.kernel import inotify
from minirt.network.zone import Zone

_MASK = (
    inotify.MODIFY
    | inotify.CLOSE_WRITE
    | inotify.MOVED_FROM
    | inotify.MOVED_TO
    | inotify.CREATE
    | inotify.DELETE
    | inotify.ONLYDIR
)
_DOUBT = 1.0  # seconds; the lock falls microseconds after the event, if the CPU is free


class Watch:
    """The zones that this process has in use, each read once and then kept up to date."""

    def __init__(self, leases_of: Path) -> None:
        self._networks = leases_of  # RUN/networks
        self._zones: dict[str, Zone] = {}
        self._users: dict[str, int] = {}
        self._by_number: dict[int, Zone] = {}
        self._numbers: dict[str, int] = {}
        self._doubts: dict[tuple[str, str], float] = {}  # (network, lease): until when
        try:
            self._inotify: int | None = inotify.instance()
            epoll = select.epoll()  # One object less for each question than select.poll.
            epoll.register(self._inotify, select.EPOLLIN)
        except OSError:
            self._inotify = None
        else:
            self._events = epoll.poll

    def use(self, network: str) -> Zone:
        """Return the zone of ``network``; every use is ended by :meth:`leave`."""
        zone = self._zones.get(network)
        if zone is None:
            directory = self._networks / network / "leases"
            zone = self._zones[network] = Zone(network, directory)
            self._begin(zone)  # Watch first, read second: nothing can happen in between.
            zone.look_at_all()
        self._users[network] = self._users.get(network, 0) + 1
        return zone

    def leave(self, zone: Zone) -> None:
        """End one use; a zone that nobody uses is forgotten."""
        self._users[zone.name] -= 1
        if self._users[zone.name]:
            return
        del self._users[zone.name], self._zones[zone.name]
        number = self._numbers.pop(zone.name, None)
        if number is not None and self._inotify is not None:
            self._by_number.pop(number, None)
            inotify.unwatch(self._inotify, number)

    def is_up_to_date(self) -> bool:
        """Say whether :meth:`catch_up` would find nothing; that is five times cheaper to know."""
        return not (self._doubts or self._inotify is None or self._events(0))

    def catch_up(self) -> bool:
        """Make all zones true; say whether any of them changed."""
        if self._inotify is None:
            return any([zone.look_at_all() for zone in self._zones.values()])
        stale: dict[str, set[str]] = {}
        lost = False
        for event in inotify.events(self._inotify):
            lost = lost or bool(event.mask & inotify.OVERFLOW)
            zone = self._by_number.get(event.watch)
            if zone is not None and event.name:
                stale.setdefault(zone.name, set()).add(event.name)
                if event.mask & inotify.CLOSE_WRITE:
                    self._doubts[zone.name, event.name] = time.monotonic() + _DOUBT
        if self._doubts:
            self._add_doubtful(stale)
        if lost:
            return any([zone.look_at_all() for zone in self._zones.values()])
        return any([self._zones[name].look_at(leases) for name, leases in stale.items()])

    def _add_doubtful(self, stale: dict[str, set[str]]) -> None:
        now = time.monotonic()
        for (network, lease), until in list(self._doubts.items()):
            zone = self._zones.get(network)
            if zone is not None:
                stale.setdefault(network, set()).add(lease)
            if zone is None or until < now or lease not in zone.members:
                del self._doubts[network, lease]  # after this last look

    def _begin(self, zone: Zone) -> None:
        if self._inotify is None:
            return
        try:
            number = inotify.watch(self._inotify, zone.directory, _MASK)
        except OSError:  # fs.inotify.max_user_watches: do without, from here on.
            self._inotify = None
            return
        self._by_number[number] = zone
        self._numbers[zone.name] = number
