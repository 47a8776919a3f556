"""``minirt network …``, as a user types it."""

from __future__ import annotations

import json
import re

import pytest

from integration.conftest import Minirt
from integration.sandbox import shell
from integration.wires import machine
from minirt.network import finding, store

pytestmark = pytest.mark.core


def links() -> set[str]:
    shown = json.loads(shell("ip", "-json", "link", "show", "type", "bridge").stdout)
    return {one["ifname"] for one in shown}


def wire(name: str) -> None:
    """Make a link that is no bridge."""
    shell("ip", "link", "add", name, "up", "type", "veth", "peer", "name", "test-end")
    shell("ip", "link", "set", "test-end", "up")


def test_a_network_is_made_listed_shown_and_removed(minirt: Minirt) -> None:
    made = minirt("network", "create", "--label", "a=b", "--subnet", "10.9.0.0/24", "net1").stdout
    assert re.fullmatch(r"[0-9a-f]{64}\n", made)
    network_id = made.strip()
    assert links() == {f"br-{network_id[:12]}"}
    assert minirt("network", "ls").stdout.splitlines()[0].split("  ")[0] == "NETWORK ID"
    names = minirt("network", "ls", "--format", "{{.Name}}").stdout.split()
    assert names == ["bridge", "host", "net1", "none"]
    assert minirt("network", "ls", "-q", "-f", "type=custom").stdout.strip() == network_id[:12]
    assert network_id in minirt("network", "ls", "--no-trunc").stdout
    assert network_id not in minirt("network", "ls").stdout
    (shown,) = json.loads(minirt("network", "inspect", network_id[:5]).stdout)
    assert (shown["Name"], shown["Labels"]) == ("net1", {"a": "b"})
    assert shown["IPAM"]["Config"] == [{"Subnet": "10.9.0.0/24", "Gateway": "10.9.0.1"}]
    assert minirt("network", "rm", "net1").stdout == "net1\n"
    assert links() == set()
    assert not store.run_directory("net1").exists()


def test_inspect_tells_who_is_on_the_network_and_rm_refuses_because_of_them(
    minirt: Minirt,
) -> None:
    minirt("network", "create", "net1")
    with machine(finding.find("net1"), name="web") as one:
        template = "{{range .Containers}}{{.Name}} {{.IPv4Address}}{{end}}"
        shown = minirt("network", "inspect", "-f", template, "net1").stdout
        assert shown == f"web {one.address}/16\n"
        refused = minirt("network", "rm", "net1", code=1)
        assert "has active endpoints: in use by web." in refused.stderr
        assert minirt("network", "prune", "-f").stdout == ""
    assert minirt("network", "prune", "-f").stdout == "Deleted Networks:\nnet1\n\n"


def test_of_several_one_that_fails_does_not_stop_the_others(minirt: Minirt) -> None:
    minirt("network", "create", "net1")
    done = minirt("network", "inspect", "nosuch", "net1", code=1)
    assert [one["Name"] for one in json.loads(done.stdout)] == ["net1"]
    assert "network nosuch not found" in done.stderr
    done = minirt("network", "rm", "nosuch", "net1", code=1)
    assert done.stdout == "net1\n"
    assert minirt("network", "rm", "-f", "nosuch").stdout == ""


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["bridge"], "operation is not permitted on predefined bridge network"),
        (["host"], "operation is not permitted on predefined host network"),
        (["taken"], "network with name taken already exists"),
        (["../x"], "Invalid network name"),
        (["x" * 300], "Invalid network name"),
        (["bad name"], "Invalid network name"),
        (["--subnet", "10.9.0.128/25", "n1"], "Pool overlaps with other one"),
        (["--subnet", "0.0.0.0/0", "n1"], "Pool overlaps with other one"),
        (["--subnet", "foo", "n1"], "invalid subnet foo"),
        (["-o", "com.docker.network.bridge.name=test-link", "n1"], "test-link is not a bridge"),
        (["-o", "com.docker.network.bridge.name=br-taken", "n1"], "have same bridge name"),
        (["--label", "=x", "n1"], "it has no name"),
    ],
)
def test_what_cannot_be_made_is_refused_and_leaves_nothing(
    minirt: Minirt, words: list[str], complaint: str
) -> None:
    wire("test-link")
    option = "com.docker.network.bridge.name=br-taken"
    minirt("network", "create", "--subnet", "10.9.0.0/24", "-o", option, "taken")
    refused = minirt("network", "create", *words, code=1)
    assert complaint in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert refused.stdout == ""
    assert links() == {"br-taken"}
    assert len(finding.everything()) == 4


def test_a_bridge_that_was_there_is_adopted_and_stays(minirt: Minirt) -> None:
    shell("ip", "link", "add", "br-mine", "type", "bridge")
    option = "com.docker.network.bridge.name=br-mine"
    minirt("network", "create", "-o", option, "--subnet", "10.9.0.0/24", "net1")
    with machine(finding.find("net1")) as one:
        assert one.ask("10.9.0.1", 1) == "Connection refused"
    minirt("network", "rm", "net1")
    assert links() == {"br-mine"}
    assert "10.9.0.1" not in shell("ip", "addr", "show", "br-mine").stdout


def test_automatic_subnets_keep_clear_of_every_route_and_link(minirt: Minirt) -> None:
    wire("test-lan")
    shell("ip", "addr", "add", "172.17.4.2/24", "dev", "test-lan")
    shell("ip", "route", "add", "172.18.0.0/15", "via", "172.17.4.1")
    minirt("network", "create", "net1")
    subnets = [str(one.subnet4) for one in store.every()]
    assert subnets == ["172.20.0.0/16", "172.21.0.0/16"]


def test_the_mtu_is_that_of_the_way_out_or_as_asked_for(minirt: Minirt) -> None:
    wire("test-lan")
    shell("ip", "link", "set", "test-lan", "mtu", "1400")
    shell("ip", "route", "add", "default", "dev", "test-lan")
    minirt("network", "create", "net1")
    minirt("network", "create", "-o", "com.docker.network.driver.mtu=1300", "net2")
    for name, mtu in (("net1", "1400"), ("net2", "1300")):
        with machine(finding.find(name)) as one:
            shown = shell("nsenter", f"--net=/proc/{one.pid}/ns/net", "ip", "link", "show", "eth0")
            assert f"mtu {mtu} " in shown.stdout


def test_the_story_of_a_network_is_told(minirt: Minirt) -> None:
    told = minirt("--explain", "network", "create", "--subnet", "10.9.0.0/24", "net1").stderr
    for command in ("ip link add br-", "ip addr add 10.9.0.1/24", "nft -f /", "sysctl -qw net"):
        assert command in told


def test_looking_at_networks_needs_nothing_that_can_be_written(minirt: Minirt) -> None:
    shown = minirt("--root", "/proc/nosuch", "network", "ls", "--format", "{{.Name}}")
    assert shown.stdout.split() == ["host", "none"]
    refused = minirt("--root", "/proc/nosuch", "network", "create", "net1", code=1)
    assert refused.stderr.count("\n") == 1
    assert links() == set()
