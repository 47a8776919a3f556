"""IPv6 traffic of real containers: who reaches whom, as whom, and who doesn't."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.containers import monitor_of, pid_of
from integration.sandbox import (
    PATIENCE,
    Outside,
    in_netns,
    shell,
    started,
    wait_until,
)
from integration.traffic import filter_bridges
from integration.wires import PEER, ask
from minirt.container import datagrams

HOST, AWAY = "2001:db8:f::1", "2001:db8:f::2"  # as over_ipv6 has them
NET = ("network", "create", "--subnet", "2001:db8:1::/64")
GATEWAY = "2001:db8:1::1"

pytestmark = pytest.mark.usefixtures("image")


@contextlib.contextmanager
def serving(minirt: Minirt, name: str, *flags: object) -> Iterator[int]:
    """Run a container with a server at port 80 that tells who asks; yield its init's pid."""
    minirt("run", "-d", "--name", name, *flags, "busybox", "sleep", "1000")
    pid = pid_of(minirt, name)
    with started("nsenter", f"--net=/proc/{pid}/ns/net", *PEER, "serve", 80) as server:
        assert server.stdout and server.stdout.readline() == "up\n"
        yield pid
    minirt("rm", "-f", name)


def ask_from(pid: int, host: str, port: int, protocol: str = "tcp") -> str:
    """Ask a server from the network namespace of a process."""
    return in_netns(pid, *PEER, "ask", protocol, host, port).stdout.strip()


UNREACHED = ("timeout", "Connection refused", "Network is unreachable", "No route to host")
BOTH = ("-p", "8080:80", "-p", "8080:80/udp")


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_port_is_reached_over_ipv6_from_everywhere(
    minirt: Minirt, outside6: Outside, protocol: str
) -> None:
    minirt(*NET, "net1")
    minirt("network", "create", "--ipv6", "net2")
    minirt("run", "-d", "--name", "other", "--net", "net2", "busybox", "sleep", "1000")
    with (
        serving(minirt, "web", "--net", "net1", *BOTH) as web,
        serving(minirt, "peer", "--net", "net1") as peer,
    ):
        assert ask_from(outside6.pid, HOST, 8080, protocol) == AWAY  # the client's own address
        assert ask(HOST, 8080, protocol) == HOST
        assert ask("::1", 8080, protocol) == GATEWAY
        assert ask(GATEWAY, 8080, protocol) == GATEWAY
        assert ask_from(peer, HOST, 8080, protocol) in (GATEWAY, "2001:db8:1::3")
        assert ask_from(web, HOST, 8080, protocol) == GATEWAY  # itself, over the host
        assert ask_from(peer, "2001:db8:1::2", 80, protocol) == "2001:db8:1::3"
        assert ask_from(pid_of(minirt, "other"), HOST, 8080, protocol) == GATEWAY
    assert ask_from(outside6.pid, HOST, 8080) == "Connection refused"
    assert ask("::1", 8080) == "Connection refused"


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_container_without_ipv6_is_reached_over_it_all_the_same(
    minirt: Minirt, outside6: Outside, protocol: str
) -> None:
    minirt("network", "create", "--subnet", "10.9.0.0/24", "net4")
    with serving(minirt, "web", "--net", "net4", *BOTH):
        assert ask_from(outside6.pid, HOST, 8080, protocol) == "10.9.0.1"
        assert ask("::1", 8080, protocol) == "10.9.0.1"
        assert ask(HOST, 8080, protocol) == "10.9.0.1"
        assert ask("127.0.0.1", 8080, protocol) == "10.9.0.1"


def test_a_port_can_be_bound_to_ipv6_addresses(minirt: Minirt, outside6: Outside) -> None:
    minirt(*NET, "net1")
    flags = ("-p", "[::]:8080:80", "-p", "[::1]:8081:80", "-p", f"[{HOST}]:8082:80")
    with serving(minirt, "web", "--net", "net1", *flags):
        shown = minirt("port", "web").stdout.splitlines()
        assert sorted(shown) == [
            f"80/tcp -> [{HOST}]:8082",
            "80/tcp -> [::1]:8081",
            "80/tcp -> [::]:8080",
        ]
        assert ask("::1", 8080) == ask("::1", 8081) == GATEWAY
        assert ask("127.0.0.1", 8080) == "Connection refused"
        assert ask_from(outside6.pid, HOST, 8080) == AWAY
        assert ask_from(outside6.pid, HOST, 8081) == "Connection refused"
        assert ask_from(outside6.pid, HOST, 8082) == AWAY
        assert ask("::1", 8082) == "Connection refused"
        taken = minirt("run", "--rm", "-p", "[::1]:8080:80", "busybox", "true", code=125)
        assert "port is already allocated by container web" in taken.stderr


def test_what_leaves_bears_the_hosts_ipv6_address_and_nothing_comes_in(
    minirt: Minirt, outside6: Outside
) -> None:
    minirt(*NET, "net1")
    outside6.run("ip", "route", "add", "2001:db8:1::/64", "via", HOST)  # It even knows the way.
    with (
        serving(minirt, "web", "--net", "net1") as web,
        started(*outside6.enter(), *PEER, "serve", 80) as server,
    ):
        assert server.stdout and server.stdout.readline() == "up\n"
        assert ask_from(web, AWAY, 80) == HOST
        assert ask_from(web, AWAY, 80, "udp") == HOST
        assert ask_from(outside6.pid, "2001:db8:1::2", 80) == "timeout"
        assert ask_from(outside6.pid, "2001:db8:1::2", 80, "udp") == "timeout"
        outside6.run("ping", "-c1", "-W1", "2001:db8:1::2", code=1)


def test_without_masquerading_the_containers_own_address_is_seen(
    minirt: Minirt, outside6: Outside
) -> None:
    minirt(*NET, "-o", "com.docker.network.bridge.enable_ip_masquerade=false", "net1")
    outside6.run("ip", "route", "add", "2001:db8:1::/64", "via", HOST)
    with (
        serving(minirt, "web", "--net", "net1") as web,
        started(*outside6.enter(), *PEER, "serve", 80) as server,
    ):
        assert server.stdout and server.stdout.readline() == "up\n"
        assert ask_from(web, AWAY, 80) == "2001:db8:1::2"


def test_networks_do_not_reach_each_other_over_ipv6(minirt: Minirt) -> None:
    minirt(*NET, "net1")
    minirt("network", "create", "--subnet", "2001:db8:2::/64", "net2")
    with (
        serving(minirt, "one", "--net", "net1") as one,
        serving(minirt, "two", "--net", "net2") as two,
    ):
        for pid, there in ((one, "2001:db8:2::2"), (two, "2001:db8:1::2")):
            assert ask_from(pid, there, 80) == "timeout"
            assert ask_from(pid, there, 80, "udp") == "timeout"
            in_netns(pid, "ping", "-c1", "-W1", there, code=1)
        assert ask("2001:db8:1::2", 80) == GATEWAY  # The host does.


def test_an_internal_network_has_no_way_out_over_ipv6(minirt: Minirt, outside6: Outside) -> None:
    minirt(*NET, "--internal", "net1")
    with (
        serving(minirt, "one", "--net", "net1") as one,
        serving(minirt, "two", "--net", "net1"),
        started(*outside6.enter(), *PEER, "serve", 80) as server,
    ):
        assert server.stdout and server.stdout.readline() == "up\n"
        assert ask_from(one, "2001:db8:1::3", 80) == "2001:db8:1::2"
        assert ask_from(one, AWAY, 80) == "Network is unreachable"
        in_netns(one, "ip", "-6", "route", "add", "default", "via", GATEWAY)
        assert ask_from(one, AWAY, 80) == "timeout"


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_an_internal_network_does_not_reach_ports_either_that_the_monitor_serves(
    minirt: Minirt, protocol: str
) -> None:
    minirt("network", "create", "net4")
    minirt(*NET, "--internal", "-o", "com.docker.network.bridge.name=br6", "closed")
    more = ("--subnet", "2001:db8:2::/64", "-o", "com.docker.network.bridge.name=br7")
    minirt("network", "create", *more, "open")
    with (
        serving(minirt, "web", "--net", "net4", *BOTH),
        serving(minirt, "shut", "--net", "closed") as shut,
        serving(minirt, "free", "--net", "open") as free,
    ):
        assert ask_from(shut, GATEWAY, 8080, protocol) == "timeout"
        assert ask_from(shut, link_local("br6"), 8080, protocol) == "timeout"
        assert ask_from(free, "2001:db8:2::1", 8080, protocol) not in UNREACHED
        assert ask_from(free, link_local("br7"), 8080, protocol) not in UNREACHED


def link_local(bridge: str) -> str:
    """Return the link-local address of a bridge, as containers on it write it."""
    (link,) = json.loads(shell("ip", "-json", "-6", "address", "show", bridge).stdout)
    found = [one["local"] for one in link["addr_info"] if one["scope"] == "link"]
    return f"{found[0]}%eth0"


@pytest.mark.parametrize("switches", ["00", "01", "10", "11"])
def test_containers_kept_apart_are_so_over_ipv6_but_for_published_ports(
    minirt: Minirt, switches: str
) -> None:
    filter_bridges(*switches)
    minirt(*NET, "-o", "com.docker.network.bridge.enable_icc=false", "net1")
    with (
        serving(minirt, "one", "--net", "net1") as one,
        serving(minirt, "two", "--net", "net1", "-p", "8080:80"),
    ):
        assert ask_from(one, "2001:db8:1::3", 80) in ("timeout", "No route to host")
        assert ask_from(one, GATEWAY, 8080) in (GATEWAY, "2001:db8:1::2")
        (route,) = json.loads(in_netns(one, "ip", "-json", "route", "show", "default").stdout)
        assert ask_from(one, route["gateway"], 8080) not in UNREACHED


def test_an_open_connection_carries_much_in_both_directions_and_half_closes(
    minirt: Minirt,
) -> None:
    minirt("network", "create", "net4")
    flags = ("-d", "--name", "echo", "--net", "net4", "-p", "7000:7")
    minirt("run", *flags, "busybox", "sleep", "1000")
    sent = bytes(range(256)) * 4096 * 8  # 8 MiB: more than all buffers on the way
    enter = ("nsenter", f"--net=/proc/{pid_of(minirt, 'echo')}/ns/net")
    with started(*enter, sys.executable, "-c", ECHO) as server:
        assert server.stdout and server.stdout.readline() == "up\n"
        with socket.create_connection(("::1", 7000), timeout=30 * PATIENCE) as client:
            client.setblocking(False)
            assert exchange(client, sent) == sent


ECHO = """
import socket
listener = socket.create_server(("0.0.0.0", 7))
print("up", flush=True)
client, _ = listener.accept()
while data := client.recv(1 << 16):
    client.sendall(data)
"""


def exchange(client: socket.socket, data: bytes) -> bytes:
    """Send everything while receiving everything, then say that this was all."""
    chooser = selectors.DefaultSelector()
    chooser.register(client, selectors.EVENT_READ | selectors.EVENT_WRITE)
    got = bytearray()
    rest = memoryview(data)
    while True:
        for _, events in chooser.select(10):
            if events & selectors.EVENT_READ:
                piece = client.recv(1 << 16)
                if not piece:
                    return bytes(got)
                got += piece
            if events & selectors.EVENT_WRITE and rest:
                rest = rest[client.send(rest[: 1 << 16]) :]
                if not rest:
                    client.shutdown(socket.SHUT_WR)
                    chooser.modify(client, selectors.EVENT_READ)


def test_ports_move_with_the_way_out_also_where_the_monitor_serves_them(minirt: Minirt) -> None:
    minirt("network", "create", "--subnet", "10.8.0.0/24", "net4")
    minirt(*NET, "--subnet", "10.9.0.0/24", "net6")
    with serving(minirt, "web", "--net", "net4", *BOTH):
        assert ask("::1", 8080) == ask("::1", 8080, "udp") == "10.8.0.1"
        minirt("network", "connect", "net6", "web")
        minirt("network", "disconnect", "net4", "web")
        assert ask("::1", 8080) == ask("::1", 8080, "udp") == GATEWAY
        assert ask("127.0.0.1", 8080) == "10.9.0.1"
        minirt("network", "disconnect", "net6", "web")
        assert ask("::1", 8080) == "Connection refused"
        minirt("network", "connect", "net4", "web")
        assert ask("::1", 8080) == ask("::1", 8080, "udp") == "10.8.0.1"


def test_a_killed_monitor_leaves_nothing_of_ipv6(minirt: Minirt, outside6: Outside) -> None:
    minirt(*NET, "net1")
    minirt("run", "-d", "--name", "web", "--net", "net1", *BOTH, "busybox", "sleep", "1000")
    os.kill(monitor_of(minirt, "web"), signal.SIGKILL)
    wait_until(lambda: ask("::1", 8080) == "Connection refused", "the port's end")
    assert ask_from(outside6.pid, HOST, 8080) == "Connection refused"
    minirt("run", "--rm", "--net", "net1", "busybox", "true")
    assert "2001:db8:1::2" not in shell("nft", "list", "table", "inet", "minirt").stdout


def test_a_flushed_filter_is_mended_and_until_then_the_monitor_serves(
    minirt: Minirt, outside6: Outside
) -> None:
    minirt(*NET, "net1")
    with serving(minirt, "web", "--net", "net1", *BOTH):
        for protocol in ("tcp", "udp"):
            assert ask_from(outside6.pid, HOST, 8080, protocol) == AWAY
        shell("nft", "flush", "ruleset")
        assert ask_from(outside6.pid, HOST, 8080) == GATEWAY  # as whom the monitor connects
        minirt("run", "--rm", "--net", "net1", "busybox", "true")
        assert ask_from(outside6.pid, HOST, 8080) == AWAY


def test_many_udp_clients_take_no_more_room_than_allowed(minirt: Minirt) -> None:
    minirt("network", "create", "net4")
    with serving(minirt, "web", "--net", "net4", *BOTH):
        monitor = monitor_of(minirt, "web")
        with contextlib.ExitStack() as held:
            for _ in range(datagrams.MOST + 50):
                one = held.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
                one.connect(("::1", 8080))
                one.settimeout(5 * PATIENCE)
                one.send(b"?")
                assert one.recv(100)
            descriptors = list(Path(f"/proc/{monitor}/fd").iterdir())
            assert datagrams.MOST <= len(descriptors) < datagrams.MOST + 50
            assert ask("::1", 8080, "udp") not in UNREACHED
        assert minirt("exec", "web", "echo", "well").stdout == "well\n"
