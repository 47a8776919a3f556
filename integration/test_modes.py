"""``--net host``, ``none`` and ``container:NAME``; networks that keep apart."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.containers import monitor_of
from integration.guests import guest, look
from integration.naming import host_file
from integration.sandbox import Outside, shell, wait_until
from integration.traces import Ground
from integration.wires import PEER, ask

FILES = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf")


def test_with_host_a_container_is_in_the_hosts_network(
    minirt: Minirt, image: str, outside: Outside, tmp_path: Path
) -> None:
    with host_file("nameserver 192.0.2.53\n", tmp_path):
        one = guest(minirt, "one", "--net", "host", "-p", "8080:80")
    assert one.run("ip", "-br", "link") == shell("ip", "-br", "link").stdout
    assert Path(f"/proc/{one.pid}/ns/uts").readlink() != Path("/proc/self/ns/uts").readlink()
    assert minirt("exec", "one", "hostname").stdout == f"{os.uname().nodename}\n"
    assert "nameserver 192.0.2.53" in minirt("exec", "one", "cat", "/etc/resolv.conf").stdout
    assert minirt("port", "one").stdout == ""
    with one.serving():
        assert ask("127.0.0.1", 80) == "127.0.0.1"
        assert outside.run(*PEER, "ask", "tcp", outside.host_address, 80).stdout == (
            f"{outside.address}\n"
        )


def test_with_none_there_is_loopback_and_nothing_else(minirt: Minirt, image: str) -> None:
    one = guest(minirt, "one", "--net", "none", "-p", "8080:80")
    assert [line.split()[0] for line in one.run("ip", "-br", "link").splitlines()] == ["lo"]
    assert one.run("ip", "route") == ""
    minirt("exec", "one", "ping", "-c1", "-W5", "127.0.0.1")
    assert minirt("port", "one").stdout == ""
    assert ask("127.0.0.1", 8080) == "Connection refused"


def test_a_joiner_shares_interfaces_ports_names_and_files(minirt: Minirt, image: str) -> None:
    minirt("network", "create", "net1")
    peer = guest(minirt, "peer", "--net", "net1")
    words = ("--hostname", "web.test", "--add-host", "db:192.0.2.9", "-p", "8080:80")
    guest(minirt, "web", "--net", "net1", *words)
    joiner = guest(minirt, "joiner", "--net", "container:web")
    web = look(minirt, "web")
    assert joiner.run("ip", "-br", "addr") == web.run("ip", "-br", "addr")
    for file in FILES:
        inside = minirt("exec", "web", "cat", file).stdout
        assert minirt("exec", "joiner", "cat", file).stdout == inside, file
    assert minirt("exec", "joiner", "hostname").stdout == "web.test\n"
    minirt("exec", "joiner", "ping", "-c1", "-W5", "peer")
    with joiner.serving():
        assert web.ask("127.0.0.1") == "127.0.0.1"
        assert peer.ask(web.address) == peer.address
        assert ask(web.networks["net1"]["Gateway"], 8080) == web.networks["net1"]["Gateway"]


@pytest.mark.parametrize("end", ["stop", "kill -9"])
def test_the_address_is_the_joiners_for_as_long_as_it_lives(
    minirt: Minirt, image: str, ground: Ground, end: str
) -> None:
    """An address that is free for the next while somebody still uses it would be two machines'."""
    minirt("network", "create", "--subnet", "10.9.0.0/24", "net1")
    web = guest(minirt, "web", "--net", "net1", "-p", "8080:80")
    joiner = guest(minirt, "joiner", "--net", "container:web")
    peer = guest(minirt, "peer", "--net", "net1")
    if end == "stop":
        minirt("stop", "-t", "0", "web")
    else:
        os.kill(monitor_of(minirt, "web"), signal.SIGKILL)
        wait_until(lambda: not Path(f"/proc/{web.pid}").exists(), "its death")
    with joiner.serving():
        assert peer.ask(web.address) == peer.address
        assert ask("127.0.0.1", 8080) == "Connection refused"  # The port was web's.
    assert minirt("exec", "peer", "nslookup", "-type=a", "web", code=None).returncode != 0
    minirt("exec", "joiner", "ping", "-c1", "-W5", "peer")
    said = minirt("run", "--net", "net1", "--ip", web.address, image, "true", code=125).stderr
    assert "Address already in use" in said
    assert guest(minirt, "next", "--net", "net1").address == "10.9.0.4"
    assert "in use by" in minirt("network", "rm", "net1", code=1).stderr
    minirt("start", "web")  # It gets another address, and its port again.
    assert look(minirt, "web").address == "10.9.0.5"
    minirt("rm", "-f", "joiner")
    assert guest(minirt, "last", "--net", "net1").address == web.address


def test_a_container_that_does_not_run_cannot_be_joined(minirt: Minirt, image: str) -> None:
    minirt("create", "--name", "web", image, "true")
    said = minirt("run", "--net", "container:web", image, "true", code=125).stderr
    assert "web" in said
    assert "not running" in said or "non running" in said
    assert said.count("\n") == 1
    assert minirt("ps", "-aq").stdout.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        ("--net", "container:web", "-p", "80:80"),
        ("--net", "container:web", "-P"),
        ("--net", "container:web", "--hostname", "x"),
        ("--net", "container:web", "--dns", "192.0.2.1"),
        ("--net", "container:web", "--add-host", "a:192.0.2.1"),
        ("--net", "container:web", "--network-alias", "x"),
        ("--net", "container:web", "--ip", "172.17.0.9"),
        ("--net", "container:"),
        ("--net", "host", "--network-alias", "x"),
        ("--net", "host", "--net", "none"),
        ("--net", "bridge", "--net", "net1"),
        ("--net", "net1", "--net", "net1"),
    ],
)
def test_what_does_not_go_together_is_refused(
    minirt: Minirt, image: str, words: tuple[str, ...]
) -> None:
    minirt("network", "create", "net1")
    guest(minirt, "web")
    said = minirt("run", *words, image, "true", code=125).stderr
    assert said.startswith("minirt: ")
    assert said.count("\n") == 1
    assert minirt("ps", "-aq").stdout.count("\n") == 1


def test_networks_are_closed_to_each_other_whatever_a_container_tries(
    minirt: Minirt, image: str
) -> None:
    minirt("network", "create", "net1")
    minirt("network", "create", "net2")
    web = guest(minirt, "web", "--net", "net1", "-p", "8080:80")
    near = guest(minirt, "near", "--net", "net1")
    far = guest(minirt, "far", "--net", "net2", "--privileged")
    own = far.networks["net2"]["Gateway"]
    with web.serving(), web.serving(81):
        assert near.ask(web.address) == near.address  # the control
        assert far.ask(web.address) == "timeout"
        assert far.ask(web.networks["net1"]["Gateway"]) == "Connection refused"
        # By a route of its own, by an address of the other network, and by the published port.
        minirt("exec", "far", "ip", "route", "add", f"{web.address}/32", "via", own)
        assert far.ask(web.address) == "timeout"
        minirt("exec", "far", "ip", "addr", "add", f"{near.address}/16", "dev", "eth0")
        assert far.ask(web.address) in ("timeout", "No route to host")
        minirt("exec", "far", "ip", "addr", "del", f"{near.address}/16", "dev", "eth0")
        # As if it were on the same Ethernet: nobody answers its questions, and the host forwards
        # nothing to one whose MAC address is known.
        minirt("exec", "far", "ip", "route", "replace", f"{web.address}/32", "dev", "eth0")
        assert far.ask(web.address) in ("timeout", "No route to host")
        gateway = far.run("ip", "neigh", "show", own).split()[4]
        far.run("ip", "neigh", "replace", web.address, "lladdr", gateway, "dev", "eth0")
        assert far.ask(web.address) == "timeout"
        assert far.ask(own, 8080)[:4] == "172."
        assert far.ask(own, 81) == "Connection refused"
        assert far.ask("127.0.0.1", 8080) == "Connection refused"


@pytest.mark.parametrize("value", ["true", "strict"])
def test_who_asks_for_isolation_in_podmans_word_has_it(
    minirt: Minirt, image: str, value: str
) -> None:
    minirt("network", "create", "-o", f"isolate={value}", "net1")
    minirt("network", "create", "net2")
    one = guest(minirt, "one", "--net", "net1", "-p", "8081:80")
    two = guest(minirt, "two", "--net", "net2", "-p", "8082:80")
    near = guest(minirt, "near", "--net", "net1")
    with one.serving(), two.serving():
        assert near.ask(one.address) == near.address  # the control
        assert two.ask(one.address) == one.ask(two.address) == "timeout"
        assert two.ask(one.networks["net1"]["Gateway"], 8081)[:4] == "172."
        assert one.ask(two.networks["net2"]["Gateway"], 8082)[:4] == "172."


@pytest.mark.parametrize(("value", "why"), [("false", "publish its port"), ("maybe", "strict")])
def test_less_than_isolation_is_not_to_be_had(minirt: Minirt, value: str, why: str) -> None:
    assert why in minirt("network", "create", "-o", f"isolate={value}", "net1", code=1).stderr
    assert "net1" not in minirt("network", "ls").stdout


def test_an_internal_network_reaches_its_own_and_nothing_else(
    minirt: Minirt, image: str, outside: Outside
) -> None:
    minirt("network", "create", "--internal", "inner")
    minirt("network", "create", "net1")
    one = guest(minirt, "one", "--net", "inner", "--privileged", "-p", "8080:80")
    two = guest(minirt, "two", "--net", "inner")
    web = guest(minirt, "web", "--net", "net1", "-p", "8081:80")
    assert minirt("port", "one").stdout == ""
    with two.serving(), web.serving():
        assert one.ask(two.address) == one.address
        assert one.ask(outside.address) == "Network is unreachable"
        gateway = one.networks["inner"]["IPAddress"].rpartition(".")[0] + ".1"
        minirt("exec", "one", "ip", "route", "add", "default", "via", gateway)
        assert one.ask(outside.address) == "timeout"
        assert one.ask(web.address) == "timeout"
        assert ask("127.0.0.1", 8080) == "Connection refused"
