"""minirt dns: who answers for a name in a container, and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from integration.conftest import Minirt
from integration.containers import pid_of
from integration.guests import guest
from integration.naming import host_file, resolver_pid, upstream
from integration.sandbox import PATIENCE, in_netns, shell

pytestmark = pytest.mark.core


def query(minirt: Minirt, *words: str, code: int | None = 0) -> dict[str, Any]:
    return dict(json.loads(minirt("dns", "query", "--json", *words, code=code).stdout))


def trace(minirt: Minirt, *words: str, code: int = 0) -> dict[str, Any]:
    return dict(json.loads(minirt("dns", "trace", "--json", *words, code=code).stdout))


def texts(told: dict[str, Any]) -> set[str]:
    return {one["text"] for one in told["reply"]["records"]}


def test_a_name_and_an_alias_are_told_with_whose_they_are(minirt: Minirt, image: str) -> None:
    minirt("network", "create", "net1")
    guest(minirt, "web", "--net", "net1")
    one = guest(minirt, "one", "--net", "net1", "--network-alias", "data")
    two = guest(minirt, "two", "--net", "net1", "--network-alias", "data")
    told = query(minirt, "one", "--from", "web")
    assert texts(told) == {one.address}
    assert told["reply"]["server"] == "127.0.0.11"
    (holder,) = told["holders"]
    assert (holder["container"], holder["network"], holder["why"]) == ("one", "net1", "its name")
    both = query(minirt, "data", "--from", "web")
    assert texts(both) == {one.address, two.address}
    assert {holder["container"] for holder in both["holders"]} == {"one", "two"}
    said = minirt("dns", "query", one.address, "--from", "web").stdout
    assert "PTR one.net1." in said
    assert f"{one.address} is one's on net1, by its address" in said


def test_a_known_name_without_such_a_record_and_an_unknown_name(
    minirt: Minirt, image: str, tmp_path: Path
) -> None:
    minirt("network", "create", "--internal", "net1")
    guest(minirt, "web", "--net", "net1")
    done = minirt("dns", "query", "web", "--from", "web", "-t", "MX", code=1)
    assert "web: the name exists, but nothing of that type" in done.stdout
    told = trace(minirt, "example.test", "--from", "web", code=1)
    (asked,) = told["asked"]
    assert (asked["reply"]["status"], asked["upstreams"]) == ("SERVFAIL", [])
    done = minirt("dns", "trace", "example.test", "--from", "web", code=1)
    assert "asks nobody: all its networks are internal" in done.stdout


def test_a_trace_names_the_resolver_and_the_servers_behind_it(
    minirt: Minirt, image: str, tmp_path: Path
) -> None:
    minirt("network", "create", "net1")
    log = tmp_path / "log"
    with host_file("nameserver 127.0.0.53\n", tmp_path), upstream(log):
        guest(minirt, "web", "--net", "net1")
        told = trace(minirt, "example.test", "--from", "web")
        typo = minirt("dns", "trace", "wbe", "--from", "web", code=1).stdout
    assert "NXDOMAIN: there is no such name" in typo
    assert "without a dot it is asked nowhere else" in typo
    assert "wbe" not in log.read_text()
    service = told["service"]
    assert (service["network"], service["pid"]) == ("net1", resolver_pid("net1"))
    assert not service["is_stopped"]
    pid = pid_of(minirt, "web")
    listening = shell("nsenter", f"--net=/proc/{pid}/ns/net", "ss", "-lun").stdout
    assert f"127.0.0.11:{service['port']} " in listening
    (asked,) = told["asked"]
    (server,) = asked["upstreams"]
    assert (server["server"], server["status"]) == ("127.0.0.53", "NOERROR")
    assert server["records"] == asked["reply"]["records"]
    assert 0 < server["seconds"] < 2 * PATIENCE
    assert asked["holders"] == []


def test_servers_of_the_containers_own_are_asked_from_inside(
    minirt: Minirt, image: str, tmp_path: Path
) -> None:
    minirt("network", "create", "net1")
    web = guest(minirt, "web", "--net", "net1", "--dns", "127.0.0.77")
    with upstream(tmp_path / "log", "127.0.0.77", web.pid):
        told = trace(minirt, "example.test", "--from", "web")
    (server,) = told["asked"][0]["upstreams"]
    assert (server["server"], server["status"]) == ("127.0.0.77", "NOERROR")


def test_search_domains_are_tried_as_the_c_library_does(
    minirt: Minirt, image: str, tmp_path: Path
) -> None:
    minirt("network", "create", "net1")
    one = guest(minirt, "nx", "--net", "net1")  # That server knows no name that begins so.
    words = ("--dns-search", "nosuch.test", "--dns-search", "net1", "--dns-option", "ndots:1")
    with host_file("nameserver 127.0.0.53\n", tmp_path), upstream(tmp_path / "log"):
        guest(minirt, "web", "--net", "net1", *words)
        told = trace(minirt, "nx", "--from", "web")
    names = [asked["name"] for asked in told["asked"]]
    assert names == ["nx.nosuch.test.", "nx.net1."]
    assert told["asked"][0]["reply"]["status"] == "NXDOMAIN"
    assert texts(told["asked"][1]) == {one.address}


def test_a_stopped_resolver_is_seen(minirt: Minirt, image: str) -> None:
    minirt("network", "create", "net1")
    guest(minirt, "web", "--net", "net1")
    shell("kill", "-STOP", resolver_pid("net1"))
    try:
        done = minirt("dns", "trace", "web", "--from", "web", code=1)
    finally:
        shell("kill", "-CONT", resolver_pid("net1"))
    assert "which is STOPPED" in done.stdout
    assert "no answer within" in done.stdout


def test_on_the_default_network_nobody_is_in_between(
    minirt: Minirt, image: str, tmp_path: Path
) -> None:
    with host_file("nameserver 192.0.2.53\n", tmp_path):
        web = guest(minirt, "web")
    in_netns(web.pid, "ip", "addr", "add", "192.0.2.53/32", "dev", "lo")
    # And that stays so, although new containers would now be served by a resolver.
    now = host_file("nameserver 127.0.0.53\n", tmp_path)
    with now, upstream(tmp_path / "log", "192.0.2.53", web.pid):
        told = trace(minirt, "example.test", "--from", "web")
    assert told["service"] is None
    assert told["asked"][0]["reply"]["server"] == "192.0.2.53"
    assert told["asked"][0]["reply"]["status"] == "NOERROR"


def test_the_host_asks_its_own_servers_and_still_hears_whose_name_it_is(
    minirt: Minirt, image: str, tmp_path: Path
) -> None:
    minirt("network", "create", "net1")
    one = guest(minirt, "one", "--net", "net1")
    with host_file("nameserver 127.0.0.53\n", tmp_path), upstream(tmp_path / "log"):
        told = query(minirt, "one.net1", code=None)
    assert told["reply"]["server"] == "127.0.0.53"
    assert [holder["address"] for holder in told["holders"]] == [one.address]
