"""Published ports, from whoever may ask; and the default network, where there are no names."""

from __future__ import annotations

import os
import re
import signal
import sys

import pytest

from integration.conftest import Minirt
from integration.containers import monitor_of
from integration.guests import guest, look
from integration.sandbox import Outside, shell, started, wait_until
from integration.wires import PEER, ask

HOST = "192.0.2.1"  # the test's host on its LAN
BOTH = ("-p", "8080:80", "-p", "8080:80/udp")


def test_the_default_network_reaches_by_address_and_not_by_name(
    minirt: Minirt, image: str, outside: Outside
) -> None:
    one, two = guest(minirt, "one"), guest(minirt, "two")
    assert (one.address, two.address) == ("172.17.0.2", "172.17.0.3")
    assert one.networks["bridge"]["MacAddress"] == "02:42:ac:11:00:02"
    assert "02:42:ac:11:00:02" in one.run("ip", "link", "show", "eth0")
    assert "inet 172.17.0.1/16" in shell("ip", "addr", "show", "minirt0").stdout
    assert one.run("ip", "route").splitlines()[0].strip() == "default via 172.17.0.1 dev eth0"
    minirt("exec", "one", "ping", "-c1", "-W5", two.address)
    minirt("exec", "one", "ping", "-c1", "-W5", outside.address)
    assert minirt("exec", "one", "ping", "-c1", "-W1", "two", code=None).returncode != 0
    assert shell("sysctl", "-n", "net.ipv4.ip_forward").stdout == "1\n"
    with started(*outside.enter(), *PEER, "serve", 99) as server:
        assert server.stdout and server.stdout.readline() == "up\n"
        assert one.ask(outside.address, 99) == HOST


@pytest.mark.parametrize("way", ["address", "route"])
def test_where_its_subnet_is_taken_the_default_network_has_the_next(
    minirt: Minirt, image: str, outside: Outside, way: str
) -> None:
    if way == "address":
        shell("ip", "addr", "add", "172.17.200.1/24", "dev", outside.link)
    else:
        shell("ip", "route", "add", "172.17.128.0/17", "via", outside.address)
    one = guest(minirt, "one")
    assert one.address == "172.18.0.2"
    assert "inet 172.18.0.1/16" in shell("ip", "addr", "show", "minirt0").stdout


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_published_port_answers_everybody(
    minirt: Minirt, image: str, outside: Outside, protocol: str
) -> None:
    minirt("network", "create", "net1")
    minirt("network", "create", "net2")
    web = guest(minirt, "web", "--net", "net1", *BOTH)
    near, far = guest(minirt, "near", "--net", "net1"), guest(minirt, "far", "--net", "net2")
    gateway = web.networks["net1"]["Gateway"]
    with web.serving():
        seen = outside.run(*PEER, "ask", protocol, HOST, 8080).stdout.strip()
        assert seen == outside.address
        for own in ("127.0.0.1", HOST, gateway):
            assert ask(own, 8080, protocol) in (gateway, HOST), own
        for at in (HOST, gateway):
            assert near.ask(at, 8080, protocol) in (near.address, gateway), at
            assert far.ask(at, 8080, protocol)[:4] == "172.", at
            assert web.ask(at, 8080, protocol) == gateway, at  # hairpin: its own answer
        if protocol == "tcp":  # Whatever "localhost" means first, it leads there.
            fetch = "import socket as s; print(s.create_connection(('localhost', 8080), 5).recv(9))"
            assert gateway[:7] in shell(sys.executable, "-I", "-c", fetch).stdout


def test_a_port_of_the_hosts_loopback_is_not_the_lans(
    minirt: Minirt, image: str, outside: Outside
) -> None:
    web = guest(minirt, "web", "-p", "127.0.0.1:8080:80", "-p", f"{HOST}:8081:80")
    peer = guest(minirt, "peer")
    with web.serving():
        assert ask("127.0.0.1", 8080) == "172.17.0.1"
        for address in (HOST, "172.17.0.1"):
            assert ask(address, 8080) == "Connection refused"
            assert peer.ask(address, 8080) == "Connection refused"
        assert outside.run(*PEER, "ask", "tcp", HOST, 8080).stdout == "Connection refused\n"
        assert outside.run(*PEER, "ask", "tcp", HOST, 8081).stdout == f"{outside.address}\n"
        assert ask("127.0.0.1", 8081) == "Connection refused"
    shown = minirt("port", "web").stdout
    assert shown == f"80/tcp -> 127.0.0.1:8080\n80/tcp -> {HOST}:8081\n"


def test_ranges_any_port_and_all_exposed_ports(minirt: Minirt, image: str) -> None:
    words = ("-p", "8000-8002:80-82", "-p", "8000-8009:90", "-p", "127.0.0.1::91/udp")
    web = guest(minirt, "web", *words, "--expose", "95", "-P")
    shown = minirt("port", "web").stdout.splitlines()
    told = [line for line in shown if "[::]" not in line]
    assert told[:3] == [f"{80 + n}/tcp -> 0.0.0.0:{8000 + n}" for n in range(3)]
    assert "90/tcp -> 0.0.0.0:8003" in told  # the first of the range that is free
    assert any(re.fullmatch(r"91/udp -> 127\.0\.0\.1:\d{5}", line) for line in told)
    assert any(re.fullmatch(r"95/tcp -> 0\.0\.0\.0:\d{5}", line) for line in told)
    assert minirt("port", "web", "80/tcp").stdout.splitlines()[0] == "0.0.0.0:8000"
    assert "0.0.0.0:8002->82/tcp" in minirt("ps", "--no-trunc").stdout
    with web.serving(82):
        assert ask("127.0.0.1", 8002) == "172.17.0.1"
    chosen = int(told[-1].rpartition(":")[2])
    with web.serving(int(told[-1].partition("/")[0])):
        assert ask("127.0.0.1", chosen) == "172.17.0.1"
    assert "No public port '99'" in minirt("port", "web", "99", code=1).stderr


def test_a_port_that_a_process_has_is_refused_by_the_processs_name(
    minirt: Minirt, image: str
) -> None:
    with started(*PEER, "serve", 8080) as server:
        assert server.stdout and server.stdout.readline() == "up\n"
        for port in ("8080:80", "8080:80/udp"):
            said = minirt("run", "--name", "one", "-p", port, image, "true", code=125).stderr
            assert f"process {server.pid} (" in said
            assert said.count("\n") == 1
        assert minirt("ps", "-aq").stdout == ""
    minirt("run", "--rm", "--name", "one", *BOTH, image, "true")


def test_a_removed_containers_port_is_free_at_once(minirt: Minirt, image: str) -> None:
    for _ in range(3):
        one = guest(minirt, "one", *BOTH)
        with one.serving():
            assert ask("127.0.0.1", 8080) == "172.17.0.1"
        minirt("rm", "-f", "one")
        assert ask("127.0.0.1", 8080) == "Connection refused"


def test_a_killed_containers_port_leads_to_nobody_else(
    minirt: Minirt, image: str, outside: Outside
) -> None:
    minirt("network", "create", "--subnet", "10.88.0.0/24", "net1")
    dead = guest(minirt, "dead", "--net", "net1", *BOTH)
    os.kill(monitor_of(minirt, "dead"), signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{dead.pid}"), "its death")  # noqa: PTH110
    there = (*PEER, "ask", "tcp", HOST, 8080)
    assert outside.run(*there).stdout == "Connection refused\n"
    heir = guest(minirt, "heir", "--net", "net1", "--ip", dead.address)
    with heir.serving():
        assert outside.run(*there).stdout == "Connection refused\n"
        assert ask("127.0.0.1", 8080) == "Connection refused"
        assert ask("127.0.0.1", 8080, "udp") == "Connection refused"
    taker = guest(minirt, "taker", "--net", "net1", *BOTH)
    with taker.serving():
        assert outside.run(*there).stdout == f"{outside.address}\n"
    assert "taker" in minirt("start", "dead", code=1).stderr
    assert look(minirt, "heir").address == heir.address
