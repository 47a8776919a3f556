"""An address that moves to another MAC address: whoever knew the old one learns it at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from integration.sandbox import in_netns, shell
from integration.wires import Machine, machine, network
from minirt.kernel import steps
from minirt.network.spec import Network

FOUR, SIX = "10.9.0.99", "2001:db8:1::99"
ODD = "02:00:00:00:00:77"


def dual() -> Network:
    """Make a network of both families."""
    return network(subnets=("10.9.0.0/24", "2001:db8:1::/64"))


def pings(one: Machine | None, address: str) -> bool:
    """Say whether an address answers a machine, or the host, within a second."""
    words = ("ping", "-c1", "-W1", address)
    done = in_netns(one.pid, *words, code=None) if one else shell(*words, code=None)
    return done.returncode == 0


@pytest.fixture
def told() -> Iterator[list[str]]:
    """Return the titles of all steps, as they come."""
    titles: list[str] = []
    steps.send_to(lambda one: titles.append(one.title))
    yield titles
    steps.send_to(None)


def test_neighbours_learn_at_once_that_an_address_has_moved() -> None:
    net = dual()
    with machine(net) as client:
        for mac in ("", ODD, "02:00:00:00:00:78"):  # as usual, then two odd ones
            with machine(net, name="moving", wanted=FOUR, wanted6=SIX, mac=mac):
                for address in (FOUR, SIX):
                    assert pings(client, address), (mac, address)
                    assert pings(None, address), (mac, address)


def test_also_one_as_usual_is_heard_of_after_an_odd_one() -> None:
    net = dual()
    with machine(net) as client:
        with machine(net, name="odd", wanted=FOUR, wanted6=SIX, mac=ODD):
            for address in (FOUR, SIX):
                assert pings(client, address)
                assert pings(None, address)
        shell("sleep", "1.1")  # Linux believes in what it has heard for a second ("locktime").
        with machine(net, name="usual", wanted=FOUR, wanted6=SIX):
            for address in (FOUR, SIX):
                assert pings(client, address), address
                assert pings(None, address), address


@pytest.mark.parametrize("odd", [{"mac": ODD}, {"trusted": True}])
def test_nobody_is_told_of_one_as_usual_where_all_have_been_so(
    odd: dict[str, Any], told: list[str]
) -> None:
    """A broadcast wakes each neighbour, and with five hundred that takes milliseconds."""
    net = network()
    with machine(net), machine(net, name="usual"):
        assert told.count("tell the neighbours") == 0
    with machine(net, name="odd", **odd):
        assert told.count("tell the neighbours") == 1
    with machine(net, name="usual"):
        assert told.count("tell the neighbours") == 2
