"""Which servers are asked, and in which order."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from minirt.network import upstream
from minirt.network.upstream import Host, Server


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
