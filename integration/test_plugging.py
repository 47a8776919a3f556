"""Containers on several networks, and plugs that come and go while they live."""

from __future__ import annotations

from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.guests import Guest, guest, look
from integration.naming import host_file, upstream
from integration.wires import ask

pytestmark = pytest.mark.core


@pytest.fixture(autouse=True)
def nets(minirt: Minirt, image: str) -> None:
    """Make net1 (10.1.0.0/24) and net2 (10.2.0.0/24)."""
    for number in (1, 2):
        minirt("network", "create", "--subnet", f"10.{number}.0.0/24", f"net{number}")


def found(minirt: Minirt, asker: str, name: str) -> list[str]:
    """Look a name up from inside a container."""
    shown = minirt("exec", asker, "nslookup", "-type=a", name, code=None).stdout
    lines = shown.partition("\n\n")[2].splitlines()
    return sorted(line.split()[-1] for line in lines if line.startswith("Address"))


def inside(one: Guest) -> dict[str, str]:
    """Return the addresses of its interfaces."""
    lines = [line.split() for line in one.run("ip", "-br", "-4", "addr").splitlines()]
    return {line[0].partition("@")[0]: line[2].partition("/")[0] for line in lines}


def way_out(one: Guest) -> str:
    """Return its default route."""
    routes = one.run("ip", "route").splitlines()
    return " ".join(line.strip() for line in routes if line.startswith("default"))


def test_an_alias_of_several_leads_to_all_of_them(minirt: Minirt) -> None:
    for name in ("one", "two", "three"):
        alias = ("--network-alias", "www") if name != "three" else ()
        guest(minirt, name, "--net", "net1", *alias)
    assert found(minirt, "three", "www") == ["10.1.0.2", "10.1.0.3"]
    minirt("stop", "-t", "0", "one")
    assert found(minirt, "three", "www") == ["10.1.0.3"]


def test_what_the_network_does_not_know_is_asked_of_the_hosts_servers(
    minirt: Minirt, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with upstream(log), host_file("nameserver 127.0.0.53\n", tmp_path):
        guest(minirt, "one", "--net", "net1")
        assert found(minirt, "one", "example.org") == ["192.0.2.99"]
        assert found(minirt, "one", "one") == ["10.1.0.2"]
    said = log.read_text()
    assert "example.org" in said
    assert " one. " not in said


def test_several_networks_are_interfaces_in_order_and_the_first_is_the_way_out(
    minirt: Minirt,
) -> None:
    one = guest(minirt, "one", "--net", "name=net2,alias=x,ip=10.2.0.9", "--net", "net1")
    assert inside(one) == {"lo": "127.0.0.1", "eth0": "10.2.0.9", "eth1": "10.1.0.2"}
    assert way_out(one) == "default via 10.2.0.1 dev eth0"
    guest(minirt, "aa", "--net", "net1")
    guest(minirt, "bb", "--net", "net2")
    for asker, name, address in (("aa", "one", "10.1.0.2"), ("bb", "x", "10.2.0.9")):
        assert found(minirt, asker, name) == [address]
    assert found(minirt, "aa", "x") == []
    assert found(minirt, "one", "aa") == ["10.1.0.3"]
    assert found(minirt, "one", "bb") == ["10.2.0.2"]
    had = inside(one)
    minirt("restart", "-t", "0", "one")
    assert inside(look(minirt, "one")) == had


def test_a_running_container_is_connected_and_disconnected(minirt: Minirt) -> None:
    guest(minirt, "peer", "--net", "net2")
    one = guest(minirt, "one", "--net", "net1")
    minirt("network", "connect", "--ip", "10.2.0.40", "--alias", "y", "net2", "one")
    assert inside(one)["eth1"] == "10.2.0.40"
    assert way_out(one) == "default via 10.1.0.1 dev eth0"
    assert found(minirt, "peer", "y") == found(minirt, "peer", "one") == ["10.2.0.40"]
    assert "10.2.0.40\t" in minirt("exec", "one", "cat", "/etc/hosts").stdout
    minirt("network", "disconnect", "net2", "one")
    assert "eth1" not in inside(one)
    assert found(minirt, "peer", "y") == []
    assert "10.2.0.40" not in minirt("exec", "one", "cat", "/etc/hosts").stdout
    assert guest(minirt, "heir", "--net", "net2", "--ip", "10.2.0.40").address == "10.2.0.40"
    minirt("network", "connect", "net2", "one")  # the alias was only for the first time
    assert found(minirt, "peer", "y") == []
    minirt("restart", "-t", "0", "one")
    assert set(look(minirt, "one").networks) == {"net1", "net2"}


@pytest.mark.parametrize("state", ["created", "stopped"])
def test_a_container_that_does_not_run_is_plugged_in_at_its_start(
    minirt: Minirt, state: str
) -> None:
    if state == "created":
        minirt("create", "--name", "one", "--net", "net1", "busybox", "sleep", "1000")
    else:
        guest(minirt, "one", "--net", "net1")
        minirt("stop", "-t", "0", "one")
    minirt("network", "connect", "--ip", "10.2.0.7", "--alias", "z", "net2", "one")
    minirt("network", "disconnect", "net1", "one")
    minirt("start", "one")
    one = look(minirt, "one")
    assert inside(one) == {"lo": "127.0.0.1", "eth0": "10.2.0.7"}
    guest(minirt, "peer", "--net", "net2")
    assert found(minirt, "peer", "z") == ["10.2.0.7"]


def test_ports_move_with_the_way_out(minirt: Minirt) -> None:
    one = guest(minirt, "one", "--net", "net1", "-p", "8080:80")
    shown = minirt("port", "one").stdout
    with one.serving():
        assert ask("127.0.0.1", 8080) == "10.1.0.1"
        minirt("network", "connect", "net2", "one")
        assert ask("127.0.0.1", 8080) == "10.1.0.1"
        minirt("network", "disconnect", "net1", "one")
        assert way_out(one) == "default via 10.2.0.1 dev eth1"
        assert ask("127.0.0.1", 8080) == "10.2.0.1"
        assert minirt("port", "one").stdout == shown
        minirt("network", "disconnect", "net2", "one")
        assert way_out(one) == ""
        assert ask("127.0.0.1", 8080) == "Connection refused"
        minirt("network", "connect", "net1", "one")
        assert ask("127.0.0.1", 8080) == "10.1.0.1"
        minirt("network", "disconnect", "net1", "one")
    # What was the container's port leads to nobody who takes its address.
    heir = guest(minirt, "heir", "--net", "net1")
    with heir.serving():
        assert ask("127.0.0.1", 8080) == "Connection refused"


@pytest.mark.parametrize("ports", [("8080:80",), ("8080:80/udp", "[::]:8080:80", "90-92:90-92")])
def test_disconnecting_the_last_network_frees_the_ports_of_the_host(
    minirt: Minirt, ports: tuple[str, ...]
) -> None:
    published = [word for port in ports for word in ("-p", port)]
    guest(minirt, "one", "--net", "net1", *published)
    minirt("network", "disconnect", "net1", "one")
    assert minirt("port", "one").stdout == ""
    guest(minirt, "two", "--net", "net1", *published)
    said = minirt("network", "connect", "net1", "one", code=1).stderr
    assert "port is already allocated by container two" in said
    minirt("rm", "-f", "two")
    minirt("network", "connect", "net1", "one")
    assert minirt("port", "one").stdout.count("\n") >= len(ports)
    minirt("rm", "-f", "one")
    guest(minirt, "three", "--net", "net1", *published)


def test_a_container_of_the_default_network_gets_names_with_another(minirt: Minirt) -> None:
    guest(minirt, "peer", "--net", "net1")
    guest(minirt, "one")
    assert found(minirt, "one", "peer") == []
    minirt("network", "connect", "net1", "one")
    assert found(minirt, "one", "peer") == ["10.1.0.2"]
    assert found(minirt, "peer", "one") == ["10.1.0.3"]
    minirt("exec", "one", "ping", "-c1", "-W5", "peer")
    minirt("network", "disconnect", "bridge", "one")
    assert found(minirt, "one", "peer") == ["10.1.0.2"]
    assert way_out(look(minirt, "one")) == "default via 10.1.0.1 dev eth1"


def test_a_container_without_network_can_be_given_one_after_all(minirt: Minirt) -> None:
    guest(minirt, "peer", "--net", "net1")
    one = guest(minirt, "one", "--net", "none")
    said = minirt("network", "connect", "net1", "one", code=1).stderr
    assert "minirt network disconnect none one" in said
    minirt("network", "disconnect", "none", "one")
    assert look(minirt, "one").networks == {}
    assert inside(one) == {"lo": "127.0.0.1"}
    minirt("network", "connect", "net1", "one")
    assert inside(one) == {"lo": "127.0.0.1", "eth0": "10.1.0.3"}
    assert found(minirt, "one", "peer") == ["10.1.0.2"]
    minirt("restart", "-t", "0", "one")
    assert inside(look(minirt, "one")) == {"lo": "127.0.0.1", "eth0": "10.1.0.3"}
    assert "is not connected" in minirt("network", "disconnect", "none", "one", code=1).stderr
    minirt("create", "--name", "idle", "--net", "none", "busybox", "sleep", "1000")
    minirt("network", "disconnect", "none", "idle")
    minirt("network", "connect", "net2", "idle")
    minirt("start", "idle")
    assert inside(look(minirt, "idle")) == {"lo": "127.0.0.1", "eth0": "10.2.0.2"}


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["connect", "nosuch", "one"], "network nosuch not found"),
        (["connect", "net2", "nosuch"], "No such container: nosuch"),
        (["connect", "net1", "one"], "endpoint with name one already exists in network net1"),
        (["connect", "host", "one"], "host network"),
        (["connect", "none", "one"], "none"),
        (["connect", "net2", "alone"], "none"),
        (["connect", "net2", "hosted"], "host"),
        (["connect", "net2", "joined"], "shares the network of another container"),
        (["connect", "--ip", "10.3.0.5", "net2", "one"], "10.3.0.5"),
        (["connect", "--ip", "10.2.0.2", "net2", "one"], "container peer has it"),
        (["connect", "--ip", "10.2.0.1", "net2", "one"], "10.2.0.1"),
        (["connect", "--ip", "10.2.0.255", "net2", "one"], "10.2.0.255"),
        (["connect", "--ip", "rubbish", "net2", "one"], "rubbish"),
        (["connect", "--ip", "172.20.0.9", "auto", "one"], "user configured subnets"),
        (["disconnect", "net2", "one"], "is not connected to network net2"),
        (["disconnect", "net1", "nosuch"], "No such container: nosuch"),
        (["disconnect", "nosuch", "one"], "network nosuch not found"),
        (["disconnect", "host", "hosted"], "host network"),
    ],
)
def test_a_plug_that_cannot_be_is_refused_and_nothing_changes(
    minirt: Minirt, words: list[str], complaint: str
) -> None:
    if words[-2] == "auto":
        minirt("network", "create", "auto")
    one = guest(minirt, "one", "--net", "net1")
    mode = {"alone": "none", "hosted": "host", "joined": "container:one"}.get(words[-1])
    if mode:
        guest(minirt, words[-1], "--net", mode)
    if "10.2.0.2" in words:
        guest(minirt, "peer", "--net", "net2")
    done = minirt("network", *words, code=1)
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert look(minirt, "one") == one
    assert inside(one) == {"lo": "127.0.0.1", "eth0": "10.1.0.2"}
    minirt("network", "disconnect", "-f", "net1", "one")


def test_force_makes_no_container_out_of_nothing(minirt: Minirt) -> None:
    for force in ((), ("-f",)):
        said = minirt("network", "disconnect", *force, "net1", "nope", code=1).stderr
        assert "No such container: nope" in said
