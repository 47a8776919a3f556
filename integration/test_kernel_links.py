"""Links are seen alike by netlink and by the ioctls of netdevice(7), and they go."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from integration.sandbox import shell, wait_until
from minirt.kernel import netlink
from minirt.kernel.netlink import Connection, Link, departure


@pytest.fixture
def links() -> Iterator[Connection]:
    with netlink.connect() as found:
        yield found


@pytest.mark.parametrize("state", ["up", "down"])
def test_a_look_shows_what_netlink_does_but_two_things(links: Connection, state: str) -> None:
    shell("ip", "link", "add", "one", "mtu", "1400", "type", "veth", "peer", "name", "other")
    shell("ip", "link", "set", "other", "up")
    shell("ip", "link", "set", "one", state)
    wait_until(lambda: links.look("one").running == (state == "up"), f"it is {state}")
    seen, told = links.look("one"), links.find("one")
    assert told is not None and told.kind == "veth"
    assert told.switches and seen == replace(told, kind="", switches=b"")
    assert (seen.mtu, seen.up) == (1400, state == "up")
    shell("ip", "link", "delete", "one")


def test_what_is_not_there_cannot_be_looked_at(links: Connection) -> None:
    assert links.find("nobody") is None
    with pytest.raises(OSError, match="No such device") as refused:
        links.look("nobody")
    assert refused.value.errno == errno.ENODEV


def test_a_link_that_goes_is_out_of_sight_at_once_with_its_routes(links: Connection) -> None:
    for _ in range(5):
        shell("ip", "link", "add", "one", "up", "type", "bridge")
        shell("ip", "address", "add", "10.9.0.1/24", "dev", "one")
        departure.delete(found(links, "one"))
        assert links.find("one") is None
        assert not any(route.to.version == 4 for route in links.routes())
        assert not Path("/proc/sys/net/ipv4/conf/one").exists()


def test_the_end_of_its_port_is_not_the_end_of_a_bridge(links: Connection) -> None:
    shell("ip", "link", "add", "one", "up", "type", "bridge")
    shell("ip", "link", "add", "port", "master", "one", "type", "veth", "peer", "name", "far")
    departure.delete(found(links, "one"))
    assert links.find("one") is None
    assert links.find("port") is not None
    departure.delete(found(links, "far"))
    assert links.find("port") is None


@pytest.mark.parametrize(
    ("name", "why"), [("lo", errno.EOPNOTSUPP), ("gone", errno.ENODEV)], ids=["lo", "gone"]
)
def test_what_the_kernel_has_against_a_link_s_end_is_told(
    links: Connection, name: str, why: int
) -> None:
    link = Link("gone", 4711) if name == "gone" else found(links, name)
    with pytest.raises(OSError, match=os.strerror(why)) as refused:
        departure.delete(link)
    assert refused.value.errno == why


def test_who_reads_what_a_command_writes_does_not_wait_for_the_kernel(links: Connection) -> None:
    shell("ip", "link", "add", "one", "up", "type", "bridge")
    reader, writer = os.pipe()
    departure.delete(found(links, "one"))
    os.close(writer)
    os.set_blocking(reader, False)
    assert os.read(reader, 1) == b"", "a child of the deletion has the pipe"
    os.close(reader)


def found(links: Connection, name: str) -> Link:
    link = links.find(name)
    assert link is not None
    return link
