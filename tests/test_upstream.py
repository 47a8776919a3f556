"""Which servers are asked, and in which order."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from minirt.network import upstream
from minirt.network.stock import Stock
from minirt.network.upstream import Host, Memory, Server


def test_the_machines_file_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    host = Host(path)
    assert host.servers() == [Server("127.0.0.1")]  # resolv.conf(5): the local machine
    path.write_text("nameserver 192.0.2.1\nnameserver fe80::1%lo\n")
    assert host.servers() == [Server("192.0.2.1"), Server("fe80::1%lo")]
    assert host.servers() is host.servers()
    other = tmp_path / "other"
    other.write_text("nameserver 192.0.2.2\n")
    other.rename(path)
    assert host.servers() == [Server("192.0.2.2")]
    path.unlink()
    assert host.servers() == [Server("127.0.0.1")]


def test_the_silent_are_asked_last_until_they_speak_or_time_has_passed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    memory = Memory()
    one, two, three = (Server(f"192.0.2.{number}") for number in (1, 2, 3))
    assert memory.order([one, two, three]) == [one, two, three]
    memory.blame(one)
    assert memory.order([one, two, three]) == [two, three, one]
    memory.blame(two)
    memory.blame(three)
    assert memory.order([one, two, three]) == [one, two, three]
    memory.praise(three)
    assert memory.order([one, two, three]) == [three, one, two]
    monkeypatch.setattr(upstream, "_QUIET", -1.0)
    memory.blame(one)
    memory.blame(two)
    assert memory.order([one, two, three]) == [one, two, three]


def test_a_container_that_goes_takes_its_memories_along() -> None:
    memory, stock = Memory(), Stock(lambda _: None)
    inside = Server("192.0.2.1", stock)
    memory.blame(inside)
    memory.forget(stock)
    assert memory.order([inside, Server("192.0.2.2", stock)])[0] == inside


@pytest.mark.parametrize(
    ("address", "target"),
    [
        ("192.0.2.1", (socket.AF_INET, ("192.0.2.1", 53))),
        ("2001:db8::1", (socket.AF_INET6, ("2001:db8::1", 53, 0, 0))),
        ("fe80::1%lo", (socket.AF_INET6, ("fe80::1", 53, 0, 1))),
        ("fe80::1%7", (socket.AF_INET6, ("fe80::1", 53, 0, 7))),
    ],
)
def test_an_address_may_have_a_zone(address: str, target: tuple[object, ...]) -> None:
    assert upstream._target(address) == target
