"""Zones stay true: what inotify tells, what the locks say, and what happens without inotify."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from minirt.kernel import inotify, locks
from minirt.network.zone import Zone
from minirt.network.zone_watch import Watch


class Leases:
    """The lease files of one network, held by the test."""

    def __init__(self, networks: Path) -> None:
        self.folder = networks / "net1" / "leases"
        self.folder.mkdir(parents=True)
        self.held: dict[str, int] = {}

    def take(self, address: str, name: str) -> None:
        self.held[address] = locks.acquire(self.folder / address)
        self.write(address, name)

    def write(self, address: str, name: str) -> None:
        text = json.dumps({"name": name, "names": []}).ljust(80)
        os.pwrite(self.held[address], text.encode(), 0)

    def close(self) -> None:
        for fd in self.held.values():
            os.close(fd)


@pytest.fixture
def leases(tmp_path: Path) -> Iterator[Leases]:
    made = Leases(tmp_path)
    yield made
    made.close()


@pytest.fixture(params=["with inotify", "without inotify"])
def watch(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watch:
    if request.param == "without inotify":

        def refuse() -> int:
            raise OSError(errno.EMFILE, "as with 128 others")

        monkeypatch.setattr(inotify, "instance", refuse)
    return Watch(tmp_path)


def names(zone: Zone) -> set[bytes]:
    return set(zone.addresses)


def test_what_is_there_before_is_known(leases: Leases, watch: Watch) -> None:
    leases.take("10.0.0.2", "web")
    assert names(watch.use("net1")) == {b"\3web"}
    assert not watch.catch_up()


def test_takers_writers_and_the_dead_are_noticed(leases: Leases, watch: Watch) -> None:
    zone = watch.use("net1")
    leases.take("10.0.0.2", "web")
    assert watch.catch_up()
    assert names(zone) == {b"\3web"}
    leases.write("10.0.0.2", "site")
    assert watch.catch_up()
    assert names(zone) == {b"\4site"}
    os.close(leases.held.pop("10.0.0.2"))
    assert watch.catch_up()
    assert names(zone) == set()


def test_a_removed_lease_is_noticed(leases: Leases, watch: Watch) -> None:
    zone = watch.use("net1")
    leases.take("10.0.0.2", "web")
    watch.catch_up()
    locks.release(leases.folder / "10.0.0.2", leases.held.pop("10.0.0.2"))
    assert watch.catch_up()
    assert names(zone) == set()


def test_a_lock_that_falls_after_the_event_is_asked_again(leases: Leases, tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    zone = watch.use("net1")
    leases.take("10.0.0.2", "web")
    watch.catch_up()
    copy = os.dup(leases.held["10.0.0.2"])  # keeps the lock: as when the kernel is not done
    os.close(os.open(leases.folder / "10.0.0.2", os.O_WRONLY))  # somebody closes it: an event
    assert not watch.catch_up()
    assert names(zone) == {b"\3web"}
    inotify_only = watch._inotify
    assert inotify_only is not None
    os.close(leases.held.pop("10.0.0.2"))
    os.close(copy)
    list(inotify.events(inotify_only))  # This event is lost: only the doubt is left.
    assert watch.catch_up()
    assert names(zone) == set()


def test_after_an_overflow_everything_is_read_again(
    leases: Leases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(tmp_path)
    zone = watch.use("net1")
    leases.take("10.0.0.2", "web")
    overflow = inotify.Event(-1, inotify.OVERFLOW, "")
    monkeypatch.setattr(inotify, "events", lambda _fd: iter([overflow]))
    assert watch.catch_up()
    assert names(zone) == {b"\3web"}


def test_a_zone_is_shared_and_forgotten_with_its_last_user(leases: Leases, watch: Watch) -> None:
    zone = watch.use("net1")
    assert watch.use("net1") is zone
    watch.leave(zone)
    leases.take("10.0.0.2", "web")
    assert watch.catch_up()
    watch.leave(zone)
    leases.take("10.0.0.3", "db")
    assert not watch.catch_up()
    assert names(watch.use("net1")) == {b"\3web", b"\2db"}


def test_events_are_read_from_their_bytes() -> None:
    record = inotify._EVENT.pack(7, inotify.CREATE, 0, 16) + b"10.0.0.2".ljust(16, b"\0")
    nameless = inotify._EVENT.pack(-1, inotify.OVERFLOW, 0, 0)
    assert list(inotify.parse(record + nameless)) == [
        inotify.Event(7, inotify.CREATE, "10.0.0.2"),
        inotify.Event(-1, inotify.OVERFLOW, ""),
    ]
