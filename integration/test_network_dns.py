"""DNS servers of a network: whom its containers ask for what the network does not know."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.guests import guest
from integration.naming import host_file, upstream
from integration.sandbox import Outside

pytestmark = pytest.mark.usefixtures("image")


def found(minirt: Minirt, asker: str, name: str) -> list[str]:
    """Look a name up from inside a container."""
    shown = minirt("exec", asker, "nslookup", "-type=a", name, code=None).stdout
    lines = shown.partition("\n\n")[2].splitlines()
    return [line.split()[-1] for line in lines if line.startswith("Address")]


def test_the_networks_servers_are_asked_instead_of_the_hosts(
    minirt: Minirt, outside: Outside, tmp_path: Path
) -> None:
    theirs, hosts = tmp_path / "theirs", tmp_path / "hosts"
    with (
        upstream(theirs, outside.address, outside.pid),
        upstream(hosts),
        host_file("nameserver 127.0.0.53\n", tmp_path),
    ):
        minirt("network", "create", "--dns", outside.address, "net1")
        minirt("network", "create", "net2")
        guest(minirt, "one", "--net", "net1")
        assert found(minirt, "one", "example.org") == ["192.0.2.99"]
        assert found(minirt, "one", "one")  # What it knows, it does not ask for.
        assert "example.org" in theirs.read_text()
        assert " one. " not in theirs.read_text()
        assert hosts.read_text() == ""
        guest(minirt, "two", "--net", "net2")
        assert found(minirt, "two", "example.net") == ["192.0.2.99"]
        assert "example.net" in hosts.read_text()
        # It comes and goes with the network.
        minirt("network", "connect", "net1", "two")
        found(minirt, "two", "example.com")
        assert "example.com" in theirs.read_text()
        minirt("network", "disconnect", "net1", "two")
        found(minirt, "two", "example.edu")
        assert "example.edu" not in theirs.read_text()
        # The container's own word counts more.
        guest(minirt, "three", "--net", "net1", "--dns", "127.0.0.99")
        assert found(minirt, "three", "example.int") == []
        assert "example.int" not in theirs.read_text()


def test_a_server_on_an_internal_network_serves_it(minirt: Minirt, tmp_path: Path) -> None:
    words = ("--internal", "--subnet", "10.1.0.0/24", "--dns", "10.1.0.53")
    minirt("network", "create", *words, "net1")
    server = guest(minirt, "server", "--net", "net1", "--ip", "10.1.0.53")
    guest(minirt, "one", "--net", "net1")
    with upstream(tmp_path / "log", "10.1.0.53", server.pid):
        assert found(minirt, "one", "example.org") == ["192.0.2.99"]


def test_everything_says_so(minirt: Minirt, outside: Outside, tmp_path: Path) -> None:
    minirt("network", "create", "--dns", "192.0.2.2,2001:db8::1", "net1")
    (shown,) = json.loads(minirt("network", "inspect", "net1").stdout)
    assert shown["DNS"] == ["192.0.2.2", "2001:db8::1"]
    guest(minirt, "one", "--net", "net1")
    with upstream(tmp_path / "log", outside.address, outside.pid):
        assert outside.address in minirt("dns", "trace", "example.org", "--from", "one").stdout
    assert "192.0.2.2 2001:db8::1" in minirt("exec", "one", "cat", "/etc/resolv.conf").stdout


@pytest.mark.parametrize("bad", ["rubbish", "127.0.0.1", "::1", "0.0.0.0", "224.0.0.1", ""])
def test_what_is_no_server_is_refused(minirt: Minirt, bad: str) -> None:
    said = minirt("network", "create", "--dns", bad, "net1", code=1).stderr
    assert "--dns" in said
    assert said.count("\n") == 1
