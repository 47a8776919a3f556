"""What "network path" predicts is what happens: to real packets of real containers."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from integration.conftest import Minirt
from integration.guests import Guest, guest, look
from integration.sandbox import (
    Outside,
    in_netns,
    minirt_words,
    needs_file,
    shell,
    started,
    wait_until,
)
from integration.traffic import BRIDGED, filter_bridges
from integration.wires import PEER, ask, served

NO_ICC = "com.docker.network.bridge.enable_icc=false"
REFUSED = {"timeout", "Network is unreachable", "Connection refused", "No route to host"}

# who asks, whom, by which port; whether an answer comes, and a word of why not
CASES = [
    ("db", "web:80", ""),
    ("db", "web:81", "listens"),
    ("ox", "web:80", "@bridges drop"),
    ("web", "ox:80", "@bridges drop"),
    ("web", "in:80", "@internal drop"),
    ("in", "web:80", "no route"),
    ("in", "peer:80", ""),
    ("n1", "n2:80", "icc"),
    ("web", "host:8080", ""),
    ("db", "host:8080", ""),
    ("ox", "host:8080", ""),
    ("ox", "host:8081", "listens"),
    ("n1", "host:8082", ""),
    ("db", "web:80/udp", ""),
    ("ox", "web:80/udp", "@bridges drop"),
    ("host", "web:80", ""),
    ("host", "in:80", ""),
    ("host", "127.0.0.1:8080", ""),
    ("host", "host:8080", ""),
    ("web", "outside:90", ""),
    ("in", "192.0.2.2:90", "no route"),
]


@contextlib.contextmanager
def scene(minirt: Minirt) -> Iterator[dict[str, Guest]]:
    """Run containers on four networks, each with a server at port 80 of TCP and UDP."""
    for words in (["net1"], ["net2"], ["--internal", "inner"], ["-o", NO_ICC, "noicc"]):
        minirt("network", "create", *words)
    plugs = {
        "web": ("net1", "-p", "8080:80"),
        "db": ("net1",),
        "ox": ("net2",),
        "in": ("inner",),
        "peer": ("inner",),
        "n1": ("noicc",),
        "n2": ("noicc", "-p", "8082:80"),
    }
    found = {name: guest(minirt, name, "--net", *words) for name, words in plugs.items()}
    with contextlib.ExitStack() as held:
        for one in found.values():
            held.enter_context(one.serving())
        yield found


def path(minirt: Minirt, *words: str) -> dict[str, Any]:
    done = minirt("network", "path", "--json", *words, code=None)
    assert done.returncode in (0, 1), done.stderr
    document = json.loads(done.stdout)
    assert document["arrives"] == (done.returncode == 0)
    return dict(document)


@pytest.mark.slow
@pytest.mark.parametrize(
    "bridged", ["00", *(pytest.param(one, marks=needs_file(BRIDGED)) for one in ("11", "01"))]
)
def test_what_is_predicted_is_what_happens(
    minirt: Minirt, image: str, outside: Outside, bridged: str
) -> None:
    filter_bridges(*bridged)
    with scene(minirt) as guests, served(outside):
        for source, target, why in CASES:
            case = f"{source} -> {target}"
            told = path(minirt, "--trace", source, target)
            host, port, protocol = goal(guests, outside, target)
            said = ask_from(guests, source, host, port, protocol)
            arrives = said not in REFUSED
            assert told["arrives"] == arrives == (not why), f"{case}: {said}, {told}"
            assert told["trace"]["agrees"], f"{case}: {told}"
            if why:
                refusal = told["refusal"]
                words = f"{refusal['why']} {refusal['remedy']}"
                assert why in words, f"{case}: {words}"
                assert refusal["remedy"], f"{case}: no remedy"
        tables = shell("nft", "list", "tables").stdout
        assert "minirt_trace" not in tables


def goal(guests: dict[str, Guest], outside: Outside, target: str) -> tuple[str, int, str]:
    """Return what another program would have to ask for."""
    name, _, rest = target.partition(":")
    port, _, protocol = rest.partition("/")
    hosts = {"host": outside.host_address, "outside": outside.address}
    address = guests[name].address if name in guests else hosts.get(name, name)
    return address, int(port), protocol or "tcp"


def ask_from(guests: dict[str, Guest], source: str, host: str, port: int, protocol: str) -> str:
    if source in guests:
        return guests[source].ask(host, port, protocol)
    return ask(host, port, protocol)


def test_a_ping_is_followed_out_and_its_entry_is_the_connection_trackers(
    minirt: Minirt, image: str, outside: Outside
) -> None:
    minirt("network", "create", "net1")
    web = guest(minirt, "web", "--net", "net1")
    told = path(minirt, "--trace", "web", outside.address)
    assert told["trace"]["fate"] == "answered"
    assert told["trace"]["agrees"]
    tuples = [word for word in told["trace"]["entry"].split() if word.startswith(("src=", "dst="))]
    assert told["returns_by"].split()[1:] == tuples
    assert tuples[-1] == f"dst={outside.host_address}"
    assert told["packet"]["source"] == web.address
    text = minirt("network", "path", "web", "8.8.8.8").stdout
    assert f"{web.address} becomes {outside.host_address}" in text


@pytest.mark.core
def test_a_packet_from_outside_is_waited_for(minirt: Minirt, image: str, outside: Outside) -> None:
    minirt("network", "create", "net1")
    web = guest(minirt, "web", "--net", "net1", "-p", "8080:80")
    words = ("network", "path", "--json", "--trace", "--wait", "20", "outside", "web:80")
    with web.serving(), started(*minirt_words(*words)) as waiting:
        assert waiting.stdout and waiting.stderr
        assert waiting.stderr.readline().startswith("Waiting 20 s for a packet from outside")
        wait_until(lambda: "minirt_trace" in shell("nft", "list", "tables").stdout, "the trace")
        assert outside.run(*PEER, "ask", "tcp", outside.host_address, 8080).stdout.strip()
        told = json.loads(waiting.communicate()[0])
    assert told["arrives"]
    assert told["trace"]["fate"] == "it came"
    assert told["trace"]["agrees"], told


def test_a_killed_trace_leaves_nothing(minirt: Minirt, image: str, outside: Outside) -> None:
    minirt("network", "create", "net1")
    guest(minirt, "web", "--net", "net1", "-p", "8080:80")
    words = ("network", "path", "--trace", "--wait", "60", "outside", "web:80")
    with started(*minirt_words(*words)) as waiting:
        wait_until(lambda: "minirt_trace" in shell("nft", "list", "tables").stdout, "the trace")
        waiting.kill()
        waiting.wait()
    wait_until(lambda: "minirt_trace" not in shell("nft", "list", "tables").stdout, "its end")


def test_a_foreign_policy_is_named_and_the_mend_mends(
    minirt: Minirt, image: str, outside: Outside
) -> None:
    minirt("network", "create", "net1")
    web = guest(minirt, "web", "--net", "net1")
    shell("nft", "add table ip foreign; add chain ip foreign c "
                 "{ type filter hook forward priority 5; policy drop; }")  # fmt: skip
    told = path(minirt, "--trace", "web", outside.address)
    assert told["refusal"]["why"] == "ip foreign c: policy drop"
    assert (told["trace"]["fate"], told["trace"]["agrees"]) == ("no answer", True)
    shell("sh", "-c", told["refusal"]["remedy"])
    assert path(minirt, "web", outside.address)["arrives"]
    shell("nft", "insert rule ip foreign c ct state established,related accept")
    in_netns(web.pid, "ping", "-c1", "-W5", outside.address)
    shell("nft", "delete table ip foreign")


def test_who_does_not_run_or_is_not_there_is_said(minirt: Minirt, image: str) -> None:
    assert "No such container: nosuch" in minirt("network", "path", "nosuch", "host", code=1).stderr
    minirt("create", "--name", "idle", image, "true")
    assert "not running" in minirt("network", "path", "idle", "host", code=1).stderr


def test_containers_without_a_network_of_their_own(
    minirt: Minirt, image: str, outside: Outside
) -> None:
    guest(minirt, "alone", "--net", "none")
    told = path(minirt, "alone", outside.address)
    assert told["refusal"]["reason"] == "no route"
    one = guest(minirt, "one")
    guest(minirt, "joined", "--net", "container:one")
    told = path(minirt, "joined", outside.address)
    assert (told["arrives"], told["packet"]["source"]) == (True, look(minirt, "one").address)
    assert one.address == told["packet"]["source"]


def test_in_a_network_with_ipv6_both_families_are_followed(
    minirt: Minirt, image: str, outside: Outside
) -> None:
    minirt("network", "create", "--ipv6", "net1")
    web = guest(minirt, "web", "--net", "net1", "-p", "8080:80")
    guest(minirt, "db", "--net", "net1")
    six = web.networks["net1"]["GlobalIPv6Address"]
    with web.serving():
        for words, target in ((("-6", "db", "web:80"), six), (("db", "web:80"), web.address)):
            told = path(minirt, "--trace", *words)
            assert (told["arrives"], told["packet"]["target"]) == (True, target)
            assert (told["trace"]["fate"], told["trace"]["agrees"]) == ("connected", True)
        gateway = web.networks["net1"]["IPv6Gateway"]
        told = path(minirt, "--trace", "db", f"[{gateway}]:8080")
    assert (told["arrives"], told["trace"]["fate"]) == (True, "connected")
    assert f"becomes [{six}]:80" in json.dumps(told)
    assert "dport=8080" in told["trace"]["entry"]
    assert minirt("network", "doctor").returncode == 0
