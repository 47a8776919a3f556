"""Networks without a bridge: containers that are machines of the host's LAN."""

from __future__ import annotations

import contextlib
import errno
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.guests import Guest, guest, look
from integration.sandbox import Outside, minirt_words, shell, started, wait_until
from integration.wires import PEER, network
from minirt.errors import KernelRefused
from minirt.kernel.netlink import Connection
from minirt.network import store

pytestmark = pytest.mark.usefixtures("image")

LAN = ("--subnet", "192.0.2.0/24", "--gateway", "192.0.2.2", "--ip-range", "192.0.2.128/25")


@pytest.fixture(autouse=True)
def macvlan(outside: Outside) -> None:
    """Skip a test where the kernel has no such links."""
    words = ("link", "add", "link", outside.link, "name", "test-mv", "type", "macvlan")
    made = shell("ip", *words, code=None)
    if made.returncode:
        pytest.skip(f"this kernel has no macvlan: {made.stderr}")
    shell("ip", "link", "del", "test-mv")


@pytest.fixture
def lan(minirt: Minirt, outside: Outside) -> Outside:
    """Make the network "lan" on the wire to the machine outside, which is its gateway."""
    aux = ("--aux-address", "host=192.0.2.1")
    minirt("network", "create", "-d", "macvlan", "-o", f"parent={outside.link}", *LAN, *aux, "lan")
    return outside


def links() -> set[str]:
    """Return the names of the host's interfaces."""
    return {
        line.split()[0].partition("@")[0] for line in shell("ip", "-br", "link").stdout.splitlines()
    }


def can_ping(pinger: Callable[..., object], address: str) -> bool:
    done = pinger("ping", "-c1", "-W2", address, code=None)
    return not done.returncode  # type: ignore[attr-defined]


def test_a_container_is_a_machine_of_the_lan(minirt: Minirt, lan: Outside) -> None:
    before = links()
    one = guest(minirt, "one", "--net", "lan")
    two = guest(minirt, "two", "--net", "lan")
    assert (one.address, two.address) == ("192.0.2.128", "192.0.2.129")
    assert links() == before  # nothing of it is on the host
    assert "default via 192.0.2.2" in one.run("ip", "route")
    with one.serving():
        assert lan.run(*PEER, "ask", "tcp", one.address, 80).stdout.strip() == lan.address
        assert two.ask(one.address) == two.address
    with started(*lan.enter(), *PEER, "serve", 81) as server:
        assert server.stdout and server.stdout.readline() == "up\n"
        assert one.ask(lan.address, 81) == one.address  # no masquerade
    assert one.address in minirt("exec", "two", "nslookup", "-type=a", "one").stdout
    # The kernel keeps the parent's own addresses apart from its macvlan links.
    assert not can_ping(shell, one.address)
    (shown,) = json.loads(minirt("network", "inspect", "lan").stdout)
    assert (shown["Driver"], shown["Options"]) == ("macvlan", {"parent": lan.link})
    assert sorted(held["Name"] for held in shown["Containers"].values()) == ["one", "two"]
    minirt("rm", "-f", "one")
    # The kernel answers until it has swept the namespace.
    wait_until(lambda: not can_ping(lan.run, one.address), "silence")
    assert can_ping(lan.run, two.address)  # the control


def test_it_has_both_families(minirt: Minirt, outside: Outside) -> None:
    outside.run("ip", "addr", "add", "fd00:9::2/64", "dev", "eth0", "nodad")
    six = ("--subnet", "fd00:9::/64", "--gateway", "fd00:9::2")
    minirt("network", "create", "-d", "macvlan", "-o", f"parent={outside.link}", *LAN, *six, "lan")
    one = guest(minirt, "one", "--net", "lan", "--ip6", "fd00:9::7")
    assert "default via fd00:9::2" in one.run("ip", "-6", "route")
    assert can_ping(outside.run, "fd00:9::7")
    minirt("exec", "one", "ping", "-c1", "-W5", "fd00:9::2")


def test_an_address_passes_from_one_to_the_next_at_once(minirt: Minirt, lan: Outside) -> None:
    for number in range(5):
        minirt("run", "-d", "--name", f"c{number}", "--net", "lan", "busybox", "sleep", "1000")
        one = look(minirt, f"c{number}")
        assert one.address == "192.0.2.128"
        assert can_ping(lan.run, one.address)
        minirt("restart", "-t", "0", f"c{number}")
        assert can_ping(lan.run, one.address)
        minirt("rm", "-f", f"c{number}")


def test_a_namespace_that_lingers_delays_the_next_and_no_more(minirt: Minirt, lan: Outside) -> None:
    one = guest(minirt, "one", "--net", "lan")
    words = minirt_words("run", "-d", "--name", "two", "--net", "lan", "busybox", "sleep", "99")
    with contextlib.ExitStack() as held:
        # The link stays there, with the MAC address.
        lingering = held.enter_context(Path(f"/proc/{one.pid}/ns/net").open())
        minirt("rm", "-f", "one")
        two = held.enter_context(started(*words))
        time.sleep(1)
        assert two.poll() is None
        lingering.close()
        assert two.wait(10) == 0
    assert can_ping(lan.run, look(minirt, "two").address)


def inside(one: Guest) -> dict[str, str]:
    """Return the names of its interfaces with their IPv4 addresses."""
    rows = [line.split() for line in one.run("ip", "-br", "-4", "addr").splitlines()]
    return {row[0].partition("@")[0]: row[2].partition("/")[0] for row in rows if row[0] != "lo"}


def test_it_is_connected_and_disconnected_beside_a_bridge(minirt: Minirt, lan: Outside) -> None:
    minirt("network", "create", "--subnet", "10.1.0.0/24", "net1")
    one = guest(minirt, "one", "--net", "net1", "-p", "8080:80")
    minirt("network", "connect", "--ip", "192.0.2.77", "--gw-priority", "1", "lan", "one")
    assert inside(one) == {"eth0": "10.1.0.2", "eth1": "192.0.2.77"}
    assert "default via 192.0.2.2 dev eth1" in one.run("ip", "route")
    with one.serving():
        assert lan.run(*PEER, "ask", "tcp", "192.0.2.77", 80).stdout.strip() == lan.address
        # Ports go with the way out, and on a LAN of its own a container has all its ports.
        refused = lan.run(*PEER, "ask", "tcp", lan.host_address, 8080).stdout
        assert "Connection re" in refused
        minirt("network", "disconnect", "lan", "one")
        assert inside(one) == {"eth0": "10.1.0.2"}
        assert "default via 10.1.0.1" in one.run("ip", "route")
        assert lan.run(*PEER, "ask", "tcp", lan.host_address, 8080).stdout.strip() == lan.address
    wait_until(lambda: not can_ping(lan.run, "192.0.2.77"), "silence")


def test_all_verbs_know_it(minirt: Minirt, lan: Outside) -> None:
    guest(minirt, "one", "--net", "lan", "-p", "8080:80")
    assert minirt("port", "one").stdout == ""
    assert "macvlan" in minirt("network", "ls", "--filter", "driver=macvlan").stdout
    minirt("network", "reload")
    minirt("network", "doctor", code=None)
    assert "LAN" in minirt("network", "explain", "lan", code=1).stderr
    assert "192.0.2.2" in minirt("network", "path", "one", lan.address, code=None).stdout
    assert "in use by one" in minirt("network", "rm", "lan", code=1).stderr
    minirt("rm", "-f", "one")
    minirt("network", "prune", "-f")
    assert "lan" not in minirt("network", "ls", "-q", "--filter", "name=lan").stdout


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "Add -o parent=LINK"),
        (["-o", "parent=nosuch"], "there is no such interface"),
        (["-o", "parent=nosuch.50"], "ip link add link nosuch name nosuch.50 type vlan id 50"),
        (["-o", "parent=port"], "it is a port of a bridge"),
        (["-o", "parent=lo"], "no Ethernet"),
        (["-o", "parent=a/b"], "a link's name has"),
        (["-o", "parent=test-outside", "--internal"], "can't be internal"),
        (["-o", "parent=test-outside", "-o", "macvlan_mode=fast"], "bridge, private"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(
    minirt: Minirt, words: list[str], complaint: str
) -> None:
    shell("ip", "link", "add", "test-br", "type", "bridge")
    shell("ip", "link", "add", "port", "type", "veth", "peer", "name", "test-far")
    shell("ip", "link", "set", "port", "master", "test-br")
    before = links()
    said = minirt("network", "create", "-d", "macvlan", *words, "lan", code=1).stderr
    assert complaint in said
    assert said.count("\n") == 1
    assert links() == before
    assert "lan" not in minirt("network", "ls", "--format", "{{.Name}}").stdout.split()
    shell("ip", "link", "del", "port")
    shell("ip", "link", "del", "test-br")


def test_its_parent_may_be_down_and_not_gone(minirt: Minirt, lan: Outside) -> None:
    shell("ip", "link", "set", lan.link, "down")
    one = guest(minirt, "one", "--net", "lan")
    assert not can_ping(lan.run, one.address)
    shell("ip", "link", "set", lan.link, "up")
    wait_until(lambda: can_ping(lan.run, one.address), "an answer")
    minirt("rm", "-f", "one")
    shell("ip", "link", "del", lan.link)
    said = minirt("run", "--rm", "--net", "lan", "busybox", "true", code=125).stderr
    assert "there is no such interface" in said
    assert json.loads(minirt("network", "inspect", "lan").stdout)[0]["Containers"] == {}


def test_a_kernel_without_such_links_says_so_and_nothing_is_left(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_words: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Unknown device type")

    monkeypatch.setattr(Connection, "add_macvlan", refuse)
    with pytest.raises(KernelRefused, match=r"no macvlan links: .*modprobe macvlan"):
        network("lan", driver="macvlan", options={"parent": outside.link})
    assert not store.spec_path("lan").exists()


def test_it_is_tried_where_a_kill_leaves_nothing(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, before, seen = Connection.add_macvlan, links(), []

    def spy(self: Connection, *words: object) -> None:
        made(self, *words)  # type: ignore[arg-type]
        seen.append(links())

    monkeypatch.setattr(Connection, "add_macvlan", spy)
    network("lan", driver="macvlan", options={"parent": outside.link})
    assert seen == [before]
