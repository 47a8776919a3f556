"""The road of a packet, looked at as in a study of Docker's networks: with everybody's tools.

The container's address inside, the host's outside, and the connection tracker that ties them
together.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from integration.conftest import Minirt
from integration.containers import pid_of
from integration.sandbox import Outside, in_netns, needs_tool, shell, started, wait_until
from integration.wires import PEER

TCPDUMP = ("tcpdump", "-nn", "-l", "--immediate-mode", "-c", "2")


@contextmanager
def watched(*words: object) -> Iterator[list[str]]:
    """Capture two packets while the body runs; their lines are there when it has ended."""
    lines: list[str] = []
    with started(*words) as dump:
        assert dump.stderr and dump.stdout
        for line in dump.stderr:
            if "listening on" in line:
                break
        yield lines
        lines += [line.rstrip() for line in dump.stdout]


@needs_tool("tcpdump", "brctl", "conntrack")
def test_a_ping_leaves_as_the_container_and_arrives_as_the_host(
    minirt: Minirt, image: str, outside: Outside
) -> None:
    minirt("network", "create", "mynet")
    minirt("run", "-d", "--name", "web", "--net", "mynet", image, "sleep", "600")
    pid = pid_of(minirt, "web")
    address = minirt(
        "inspect", "-f", "{{.NetworkSettings.Networks.mynet.IPAddress}}", "web"
    ).stdout.strip()
    gateway, device = bridge_of(minirt)

    # On the host: the bridge has the gateway's address, and the container's wire as its port.
    assert f"inet {gateway}/16" in shell("ip", "addr", "show", device).stdout
    port = shell("brctl", "show", device).stdout.split()[-1]
    assert port.startswith("veth")
    # In the container: one way out, through the bridge.
    assert f"default via {gateway} dev eth0" in in_netns(pid, "ip", "route").stdout
    assert re.search(rf"eth0@if\d+.*\n.*ether 02:42.*\n +inet {address}/16",
                     in_netns(pid, "ip", "addr", "show", "eth0").stdout)  # fmt: skip

    with (
        watched(*TCPDUMP, "-i", device, "icmp") as inside,
        watched(*TCPDUMP, "-i", outside.link, "icmp") as out,
    ):
        minirt("exec", "web", "ping", "-c1", "-W5", outside.address)

    there = outside.address
    assert f"IP {address} > {there}: ICMP echo request" in inside[0]
    assert f"IP {there} > {address}: ICMP echo reply" in inside[1]
    assert f"IP {outside.host_address} > {there}: ICMP echo request" in out[0]
    assert f"IP {there} > {outside.host_address}: ICMP echo reply" in out[1]
    tied = shell("conntrack", "-L", "-p", "icmp").stdout
    assert re.search(rf"src={address} dst={there} .* src={there} dst={outside.host_address} ", tied)


@needs_tool("tcpdump", "conntrack")
def test_a_request_to_a_published_port_arrives_at_the_container_from_its_true_sender(
    minirt: Minirt, image: str, outside: Outside
) -> None:
    minirt("network", "create", "mynet")
    serve = ("httpd", "-f", "-p", "80", "-h", "/etc")
    minirt("run", "-d", "--name", "web", "--net", "mynet", "-p", "8080:80", image, *serve)
    pid = pid_of(minirt, "web")
    address = minirt(
        "inspect", "-f", "{{.NetworkSettings.Networks.mynet.IPAddress}}", "web"
    ).stdout.strip()
    wait_until(lambda: ":80 " in in_netns(pid, "ss", "-ltn").stdout, "the server")
    gateway, device = bridge_of(minirt)

    with watched(*TCPDUMP, "-i", device, "tcp port 80") as inside:
        fetch = f"import urllib.request as r; r.urlopen('http://{outside.host_address}:8080/hosts')"
        outside.run(sys.executable, "-I", "-c", fetch)

    assert re.search(rf"IP {outside.address}\.\d+ > {address}\.80: Flags \[S\]", inside[0])
    assert re.search(rf"IP {address}\.80 > {outside.address}\.\d+: Flags \[S\.\]", inside[1])
    tied = shell("conntrack", "-L", "-p", "tcp").stdout
    assert re.search(
        rf"src={outside.address} dst={outside.host_address} .*dport=8080 src={address} "
        rf"dst={outside.address} sport=80 ",
        tied,
    )
    # From the host's own loopback the container sees the gateway: 127.0.0.1 would be itself.
    with watched(*TCPDUMP, "-i", device, "tcp port 80") as inside:
        shell(*PEER, "ask", "tcp", "127.0.0.1", "8080")
    assert f"IP {gateway}." in inside[0]


def bridge_of(minirt: Minirt) -> tuple[str, str]:
    """Return the gateway and the bridge of the network."""
    form = "{{(index .IPAM.Config 0).Gateway}} {{slice .Id 0 12}}"
    gateway, short = minirt("network", "inspect", "-f", form, "mynet").stdout.split()
    return gateway, f"br-{short}"
