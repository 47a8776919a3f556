"""Links are seen alike by netlink and by the ioctls of netdevice(7)."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import replace

import pytest

from integration.sandbox import shell, wait_until
from minirt.kernel import netlink
from minirt.kernel.netlink import Connection


@pytest.fixture
def links() -> Iterator[Connection]:
    with netlink.connect() as found:
        yield found


@pytest.mark.parametrize("state", ["up", "down"])
def test_a_look_shows_what_netlink_does_but_the_kind(links: Connection, state: str) -> None:
    shell("ip", "link", "add", "one", "mtu", "1400", "type", "veth", "peer", "name", "other")
    shell("ip", "link", "set", "other", "up")
    shell("ip", "link", "set", "one", state)
    wait_until(lambda: links.look("one").running == (state == "up"), f"it is {state}")
    seen, told = links.look("one"), links.find("one")
    assert told is not None and told.kind == "veth"
    assert seen == replace(told, kind="")
    assert (seen.mtu, seen.up) == (1400, state == "up")
    shell("ip", "link", "delete", "one")


def test_what_is_not_there_cannot_be_looked_at(links: Connection) -> None:
    assert links.find("nobody") is None
    with pytest.raises(OSError, match="No such device") as refused:
        links.look("nobody")
    assert refused.value.errno == errno.ENODEV
