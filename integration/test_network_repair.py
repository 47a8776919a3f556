"""What others have damaged is mended by the next command; after a reboot all comes back."""

from __future__ import annotations

import json

import pytest

from integration.conftest import Minirt
from integration.guests import guest, look
from integration.sandbox import Outside, in_netns, shell, wait_until
from integration.test_lifecycle_reboot import another_boot, cut_power
from integration.traces import Ground
from integration.wires import PEER, ask
from minirt.network import filters

NEXT = {
    "a run": ("run", "--rm", "--net", "net1", "busybox", "true"),
    "a connect": ("network", "connect", "net1", "other"),
    "a start": ("start", "idle"),
}


def bridge_of(minirt: Minirt, network: str) -> str:
    """Return the bridge of a network."""
    return f"br-{minirt('network', 'inspect', '-f', '{{.Id}}', network).stdout[:12]}"


@pytest.mark.parametrize("command", NEXT)
def test_a_flushed_packet_filter_comes_back_with_the_ports_of_the_living(
    minirt: Minirt, image: str, outside: Outside, command: str
) -> None:
    minirt("network", "create", "net1")
    minirt("network", "create", "net2")
    ports = ("-p", "8080:80", "-p", "8080:80/udp")
    web = guest(minirt, "web", "--net", "net1", *ports)
    other = guest(minirt, "other", "--net", "net2", "-p", "127.0.0.1:8081:80")
    minirt("create", "--name", "idle", "--net", "net1", image, "sleep", "1000")
    shell("nft", "flush", "ruleset")
    with web.serving(), other.serving():
        there = (*PEER, "ask", "tcp", outside.host_address, 8080)
        assert outside.run(*there).stdout == "Connection reset by peer\n"
        minirt(*NEXT[command])
        for protocol in ("tcp", "udp"):
            there = (*PEER, "ask", protocol, outside.host_address, 8080)
            assert outside.run(*there).stdout == f"{outside.address}\n"
        assert ask("127.0.0.1", 8081) == other.networks["net2"]["Gateway"]
        assert look(minirt, "other").ask(web.networks["net1"]["Gateway"], 81) == (
            "Connection refused"
        )
        if command != "a connect":
            assert other.ask(web.address) == "timeout"  # the networks are apart again
    minirt("exec", "web", "ping", "-c1", "-W5", outside.address)


def test_a_deleted_bridge_comes_back_and_who_starts_again_is_plugged_in(
    minirt: Minirt, image: str, outside: Outside
) -> None:
    minirt("network", "create", "net1")
    web = guest(minirt, "web", "--net", "net1", "-p", "8080:80")
    bridge = bridge_of(minirt, "net1")
    shell("ip", "link", "del", bridge)
    peer = guest(minirt, "peer", "--net", "net1")
    assert shell("ip", "-br", "addr", "show", bridge).stdout.split()[1:3] == [
        "UP",
        f"{peer.networks['net1']['Gateway']}/16",
    ]
    minirt("exec", "peer", "ping", "-c1", "-W5", outside.address)
    minirt("restart", "-t", "0", "web")
    web = look(minirt, "web")
    with web.serving():
        assert peer.ask(web.address) == peer.address
        assert ask("127.0.0.1", 8080) == web.networks["net1"]["Gateway"]
    minirt("exec", "peer", "ping", "-c1", "-W5", "web")


def test_who_was_plugged_into_a_deleted_bridge_is_plugged_in_again(
    minirt: Minirt, image: str
) -> None:
    minirt("network", "create", "net1")
    web = guest(minirt, "web", "--net", "net1")
    shell("ip", "link", "del", bridge_of(minirt, "net1"))
    peer = guest(minirt, "peer", "--net", "net1")
    with web.serving():
        assert peer.ask(web.address) == peer.address


@pytest.mark.in_process
def test_after_a_reboot_networks_names_ports_and_addresses_are_back(
    minirt: Minirt, image: str, ground: Ground
) -> None:
    minirt("network", "create", "--subnet", "10.1.0.0/24", "--label", "a=b", "net1")
    minirt("network", "create", "--internal", "net2")
    web = ("--net", "net1", "--net", "net2", "-p", "8080:80", "-p", "80/udp")
    before = guest(minirt, "web", *web)
    guest(minirt, "peer", "--net", "name=net2,alias=pp")
    guest(minirt, "plain")
    shown = minirt("network", "inspect", "-f", "{{.Id}} {{.IPAM}} {{.Labels}}", "net1").stdout
    cut_power(minirt, ground)
    with another_boot():
        listed = minirt("network", "ls", "--format", "{{.Name}}").stdout.split()
        assert listed == ["bridge", "host", "net1", "net2", "none"]
        assert json.loads(minirt("network", "inspect", "net1").stdout)[0]["Containers"] == {}
        form = "{{.Id}} {{.IPAM}} {{.Labels}}"
        assert minirt("network", "inspect", "-f", form, "net1").stdout == shown
        assert ask("127.0.0.1", 8080) == "Connection refused"
        minirt("start", "web", "peer", "plain")
        after = look(minirt, "web")
        for name in ("net1", "net2"):
            assert after.networks[name]["IPAddress"] == before.networks[name]["IPAddress"]
        with after.serving():
            assert ask("127.0.0.1", 8080) == "10.1.0.1"
        assert minirt("port", "web", "80/udp").stdout.startswith("0.0.0.0:")
        minirt("exec", "web", "ping", "-c1", "-W5", "pp")
        minirt("exec", "peer", "ping", "-c1", "-W5", "web")
        minirt("network", "create", "net3")
        minirt("rm", "-f", "web", "peer", "plain")
        wait_until(lambda: minirt("network", "rm", "net1", code=None).returncode == 0, "the end")


RULE = "nft -a list chain inet minirt postrouting | awk '/saddr @masq4/ {print $NF}'"
DAMAGES = {
    "a rule": f"nft delete rule inet minirt postrouting handle $({RULE})",
    "masquerade": "nft flush chain inet minirt postrouting",
    "isolation": "nft flush chain inet minirt forward",
    "published ports": "nft flush chain inet minirt prerouting",
    "guard": "nft flush chain bridge minirt prerouting",
    "guard's table": "nft delete table bridge minirt",
}


def rules() -> str:
    """Return all rules and chains of ours, without their elements."""
    listed = [
        shell("nft", "--stateless", "--terse", "list", "table", *table.split(), code=None).stdout
        for table in ("inet minirt", "bridge minirt")
    ]
    return "\n".join(line for line in "".join(listed).splitlines() if "elements" not in line)


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_next_container_on_a_network_puts_its_rules_back(
    minirt: Minirt, image: str, outside: Outside, damage: str
) -> None:
    minirt("network", "create", "net1")
    web = guest(minirt, "web", "--net", "net1", "-p", "8080:80")
    whole = rules()
    shell("sh", "-ec", DAMAGES[damage])
    assert rules() != whole
    minirt("run", "--rm", "--net", "net1", image, "true")
    assert rules() == whole
    in_netns(web.pid, "ping", "-c1", "-W5", outside.address)
    with web.serving():
        assert outside.run(*PEER, "ask", "tcp", outside.host_address, 8080).stdout.strip()
    assert minirt("network", "doctor").returncode == 0


def test_what_is_whole_is_not_loaded_again(minirt: Minirt, image: str) -> None:
    minirt("network", "create", "net1")
    guest(minirt, "web", "--net", "net1")
    words = ("--explain", "run", "--rm", "--net", "net1", image, "true")
    assert "rules.nft" not in minirt(*words).stderr
    shell("nft", "flush", "chain", "inet", "minirt", "forward")
    assert "rules.nft" in minirt(*words).stderr


def test_the_files_of_rules_say_how_many_there_are(minirt: Minirt, image: str) -> None:
    """What nobody has touched is whole: the count of the files is the kernel's."""
    minirt("network", "create", "net1")
    assert filters.damaged() == []
    assert set(filters.rules_of(filters.RULES)) >= {"forward", "postrouting", "prerouting"}
