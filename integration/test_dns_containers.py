"""Names as containers have them, from `minirt run` to `minirt rm`."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.naming import host_file, resolver_pid, upstream
from integration.sandbox import wait_until


@pytest.fixture
def pair(minirt: Minirt, image: str) -> None:
    """Make net1, with a server called web on it."""
    minirt("network", "create", "net1")
    minirt(
        "run",
        "-d",
        "--name",
        "web",
        "--net",
        "net1",
        "--network-alias",
        "www",
        image,
        "sleep",
        "99",
    )
    minirt("run", "-d", "--name", "asker", "--net", "net1", image, "sleep", "99")


def addresses(minirt: Minirt, name: str, asker: str = "asker") -> list[str]:
    """Look a name up from inside a container; an unknown one has no addresses."""
    shown = minirt("exec", asker, "nslookup", "-type=a", name, code=None).stdout
    lines = shown.partition("\n\n")[2].splitlines()
    return [line.split()[-1] for line in lines if line.startswith("Address")]


def address_of(minirt: Minirt, name: str) -> str:
    template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    return minirt("inspect", "-f", template, name).stdout.strip()


def test_a_container_is_found_by_name_alias_id_and_network(minirt: Minirt, pair: None) -> None:
    there = [address_of(minirt, "web")]
    identity = minirt("inspect", "-f", "{{.Id}}", "web").stdout[:12]
    for name in ("web", "www", identity, "WEB.net1"):
        assert addresses(minirt, name) == there, name


def test_a_container_that_stopped_is_unknown_and_known_again_after_a_start(
    minirt: Minirt, pair: None
) -> None:
    minirt("stop", "-t", "0", "web")
    assert addresses(minirt, "web") == []
    minirt("start", "web")
    assert addresses(minirt, "web") == [address_of(minirt, "web")]


def test_a_renamed_container_has_its_new_name_at_once(minirt: Minirt, pair: None) -> None:
    minirt("rename", "web", "site")
    assert addresses(minirt, "site") == [address_of(minirt, "site")]
    assert addresses(minirt, "web") == []


def test_a_killed_resolver_is_replaced_while_containers_run(minirt: Minirt, pair: None) -> None:
    there = [address_of(minirt, "web")]
    assert addresses(minirt, "web") == there
    first = resolver_pid("net1")
    os.kill(first, signal.SIGKILL)
    assert addresses(minirt, "web") == there
    wait_until(lambda: resolver_pid("net1") != first, "another resolver")


def test_names_come_and_go_with_connect_and_disconnect(minirt: Minirt, pair: None) -> None:
    minirt("network", "create", "net2")
    minirt("run", "-d", "--name", "far", "--net", "net2", "busybox", "sleep", "99")
    assert addresses(minirt, "far") == []
    minirt("network", "connect", "net2", "asker")
    assert addresses(minirt, "far") == [address_of(minirt, "far")]
    minirt("network", "disconnect", "net1", "asker")
    assert addresses(minirt, "far") == [address_of(minirt, "far")]
    assert addresses(minirt, "web") == []


def test_on_the_default_network_a_server_on_the_hosts_loopback_is_asked_for_the_container(
    minirt: Minirt, image: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with upstream(log), host_file("nameserver 127.0.0.53\n", tmp_path):
        shown = minirt("run", "--rm", image, "nslookup", "-type=a", "example.org").stdout
    assert "192.0.2.99" in shown
    assert "udp example.org. A" in log.read_text()


def test_an_internal_networks_questions_stay_inside(
    minirt: Minirt, image: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    minirt("network", "create", "--internal", "inner")
    with upstream(log), host_file("nameserver 127.0.0.53\n", tmp_path):
        words = ("run", "--rm", "--net", "inner", image, "nslookup", "-type=a", "example.org")
        assert minirt(*words, code=None).returncode != 0
    assert log.read_text() == ""
