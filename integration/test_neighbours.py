"""An address that moves to another MAC address: whoever knew the old one learns it at once."""

from __future__ import annotations

from integration.sandbox import in_netns, shell
from integration.wires import Machine, machine, network
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
