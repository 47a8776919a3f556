"""Names resolve in network namespaces of user namespaces, where Linux may refuse payload writes.

Each test runs twice: with what this kernel permits, and as if it had refused. On a kernel that
refuses (6.18.44 and later) both use DNAT; on others the first one uses rules that rewrite ports.
"""

from __future__ import annotations

import json
import re
from socket import AF_INET, SO_REUSEADDR, SOCK_DGRAM, SOCK_STREAM, SOL_SOCKET, SocketKind, socket

import pytest

from integration.conftest import Minirt
from integration.containers import pid_of
from integration.guests import guest
from integration.naming import QUERY, client_in
from integration.sandbox import PATIENCE, another_network, in_netns, needs_tool
from minirt.kernel import namespaces
from minirt.state import made, run_dir

pytestmark = needs_tool("dig", "nft")

PRIVATE = ("--userns", "private")
WRITE = "add table ip t; add chain ip t c; add rule ip t c udp dport set 5"


def record_refusal() -> None:
    made(run_dir()).joinpath("kernel.json").write_text('{"payload_writes": false}\n')


@pytest.fixture(params=["asked", "refused"])
def answer(request: pytest.FixtureRequest, minirt: Minirt) -> str:
    """Let minirt ask the kernel whether payload may be written, or tell it that it is refused."""
    if request.param == "refused":
        record_refusal()
    return str(request.param)


def may_write(pid: int) -> bool:
    """Return whether nft(8) may add a rule that writes payload, without adding it."""
    return in_netns(pid, "nft", "-c", WRITE, code=None).returncode == 0


def names_table(pid: int) -> str:
    return in_netns(pid, "nft", "list", "table", "ip", "minirt_dns").stdout


def test_rules_rewrite_ports_if_kernel_permits_and_use_dnat_otherwise(
    minirt: Minirt, image: str, answer: str
) -> None:
    minirt("network", "create", "shop")
    pid = guest(minirt, "box", "--net", "shop", *PRIVATE).pid
    rewrites = answer == "asked" and may_write(pid)
    assert ("udp dport set" in names_table(pid)) == rewrites
    assert ("dnat to 127.0.0.11:" in names_table(pid)) != rewrites
    recorded = json.loads((run_dir() / "kernel.json").read_text())
    assert recorded == {"payload_writes": rewrites}


def test_rules_rewrite_ports_without_user_namespace_whatever_is_recorded(
    minirt: Minirt, image: str
) -> None:
    record_refusal()
    minirt("network", "create", "shop")
    assert "udp dport set" in names_table(guest(minirt, "box", "--net", "shop").pid)


def test_only_namespace_of_initial_user_namespace_is_recognized_as_such() -> None:
    unshare = ("unshare", "--user", "--map-root-user", "--net")
    with another_network() as ours, another_network(*unshare) as others:
        for pid, wanted in ((ours, True), (others, False)):
            with namespaces.network_of(pid) as netns:
                assert namespaces.is_owned_by_initial_user_namespace(netns) == wanted


@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "dual stack"])
def test_names_resolve_over_udp_and_tcp(
    minirt: Minirt, image: str, answer: str, ipv6: bool
) -> None:
    minirt("network", "create", *(["--ipv6"] if ipv6 else []), "shop")
    web = guest(minirt, "web", "--net", "shop", *PRIVATE)
    box = guest(minirt, "box", "--net", "shop", *PRIVATE)
    assert web.address in minirt("exec", "box", "nslookup", "web").stdout
    for option in ("+notcp", "+tcp"):
        assert box.run("dig", "+short", option, "@127.0.0.11", "web").strip() == web.address
        assert box.run("dig", "+short", option, "@127.0.0.11", "AAAA", "web").strip() == (
            web.networks["shop"]["GlobalIPv6Address"] if ipv6 else ""
        )
    assert minirt("exec", "box", "ping", "-c", "1", "web").returncode == 0


def test_names_of_network_resolve_after_connect_while_container_runs(
    minirt: Minirt, image: str, answer: str
) -> None:
    for name in ("shop", "store"):
        minirt("network", "create", name)
    db = guest(minirt, "db", "--net", "store")
    box = guest(minirt, "box", "--net", "shop", *PRIVATE)
    nslookup = ("exec", "box", "nslookup", "db")
    assert db.address not in minirt(*nslookup, code=None).stdout
    minirt("network", "connect", "store", "box")
    assert db.address in minirt(*nslookup).stdout
    minirt("network", "disconnect", "store", "box")
    assert db.address not in minirt(*nslookup, code=None).stdout
    assert box.run("dig", "+short", "@127.0.0.11", "box").strip() == box.address


def test_names_resolve_after_first_user_defined_network_is_connected(
    minirt: Minirt, image: str, answer: str
) -> None:
    minirt("network", "create", "shop")
    web = guest(minirt, "web", "--net", "shop")
    guest(minirt, "box", *PRIVATE)
    minirt("network", "connect", "shop", "box")
    assert web.address in minirt("exec", "box", "nslookup", "web", "127.0.0.11").stdout


@pytest.mark.parametrize("kind", [SOCK_DGRAM, SOCK_STREAM], ids=["UDP", "TCP"])
def test_server_of_container_keeps_port_53_of_its_other_addresses(
    minirt: Minirt, image: str, answer: str, kind: SocketKind
) -> None:
    minirt("network", "create", "shop")
    web = guest(minirt, "web", "--net", "shop", *PRIVATE)
    with (
        namespaces.network_of(web.pid) as netns,
        namespaces.inside(netns),
        socket(AF_INET, kind) as server,
    ):
        server.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        server.bind(("0.0.0.0", 53))
        server.settimeout(5 * PATIENCE)
        if kind == SOCK_STREAM:
            server.listen()
        for address in ("127.0.0.1", web.address):
            with socket(AF_INET, kind) as asker:
                asker.settimeout(5 * PATIENCE)
                asker.connect((address, 53))
                asker.send(b"for the container")
                taken = server.accept()[0] if kind == SOCK_STREAM else server
                assert taken.recv(100) == b"for the container"
                if taken is not server:
                    taken.close()
    with client_in(web.pid, kind) as asker:
        length = len(QUERY).to_bytes(2, "big") if kind == SOCK_STREAM else b""
        asker.sendall(length + QUERY)
        assert asker.recv(512).endswith(bytes(map(int, web.address.split("."))))


def test_dns_trace_names_port_to_which_queries_are_led(
    minirt: Minirt, image: str, answer: str
) -> None:
    minirt("network", "create", "shop")
    web = guest(minirt, "web", "--net", "shop", *PRIVATE)
    told = json.loads(minirt("dns", "trace", "--json", "--from", "web", "web").stdout)
    assert told["asked"][0]["reply"]["records"][0]["text"] == web.address
    port = told["service"]["port"]
    assert f":{port}" in names_table(web.pid) or f"dport set {port}" in names_table(web.pid)


def test_network_path_predicts_arrival_by_name(minirt: Minirt, image: str, answer: str) -> None:
    minirt("network", "create", "shop")
    web = guest(minirt, "web", "--net", "shop", *PRIVATE)
    box = guest(minirt, "box", "--net", "shop", *PRIVATE)
    assert "arrives" in minirt("network", "path", "box", "web").stdout
    with web.serving():
        assert box.ask(web.address) == box.address


def test_restarted_container_has_rules_for_its_new_sockets_only(
    minirt: Minirt, image: str, answer: str
) -> None:
    minirt("network", "create", "shop")
    guest(minirt, "web", "--net", "shop", *PRIVATE)
    minirt("restart", "-t", "0", "web")
    pid = pid_of(minirt, "web")
    port = in_netns(pid, "ss", "-Hlun").stdout.split()[3].rpartition(":")[2]
    assert set(re.findall(r"(?:set|11:)\s?(\d+)$", names_table(pid), re.MULTILINE)) <= {port, "53"}
    assert in_netns(pid, "nft", "list", "tables").stdout == "table ip minirt_dns\n"
