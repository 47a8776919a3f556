"""Names as containers have them, from `minirt run` to `minirt rm`."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.containers import monitor_of
from integration.guests import guest
from integration.naming import host_file, resolver_pid, upstream
from integration.sandbox import PATIENCE, minirt_words, shell, wait_until
from integration.traces import Ground
from minirt.kernel import processes


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


def test_the_resolver_has_nothing_of_who_came_first(minirt: Minirt, image: str) -> None:
    """One command runs on one processor, behind others; the rest of the network does not."""
    minirt("network", "create", "net1")
    typed = minirt_words("run", "-d", "--name", "web", "--net", "net1", image, "sleep", "99")
    shell("nice", "-n", "7", "taskset", "-c", "0", *typed)
    resolver = resolver_pid("net1")

    def is_plain() -> bool:
        nice = os.getpriority(os.PRIO_PROCESS, resolver)
        return nice == 0 and os.sched_getaffinity(resolver) == os.sched_getaffinity(0)

    wait_until(is_plain, "niceness and processors of its own")


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


def test_a_paused_container_is_still_answered_for(minirt: Minirt, pair: None) -> None:
    minirt("pause", "web")
    assert addresses(minirt, "web") == [address_of(minirt, "web")]
    minirt("unpause", "web")


def test_a_name_that_is_anothers_alias_and_hostname_leads_to_all_of_them(
    minirt: Minirt, pair: None
) -> None:
    one = guest(minirt, "www", "--net", "net1")
    two = guest(minirt, "two", "--net", "net1", "--hostname", "www")
    wanted = {address_of(minirt, "web"), one.address, two.address}
    assert set(addresses(minirt, "www")) == wanted


def test_after_the_last_network_a_question_fails_at_once(minirt: Minirt, pair: None) -> None:
    minirt("network", "disconnect", "net1", "asker")
    start = time.monotonic()
    for name in ("web", "example.org"):
        assert addresses(minirt, name) == []
    assert time.monotonic() - start < 3 * PATIENCE
    minirt("network", "connect", "net1", "asker")
    assert addresses(minirt, "web") == [address_of(minirt, "web")]


def test_a_killed_resolver_is_replaced_while_containers_run(minirt: Minirt, pair: None) -> None:
    there = [address_of(minirt, "web")]
    assert addresses(minirt, "web") == there
    first = resolver_pid("net1")
    os.kill(first, signal.SIGKILL)
    assert addresses(minirt, "web") == there
    wait_until(lambda: resolver_pid("net1") != first, "another resolver")


def test_who_takes_over_the_address_of_the_dead_removes_their_wire(
    minirt: Minirt, image: str, ground: Ground
) -> None:
    """A resolver that is stopped closes no socket: so it holds the dead one's namespace."""
    minirt("network", "create", "--subnet", "10.1.0.0/24", "net1")
    at_nine = ("--net", "net1", "--ip", "10.1.0.9")
    guest(minirt, "one", *at_nine)
    guest(minirt, "web", "--net", "net1")
    before = index_of("veth0a010009")
    resolver = resolver_pid("net1")
    os.kill(resolver, signal.SIGSTOP)
    try:
        kill_monitor(minirt, "one")
        time.sleep(0.2)  # With a resolver that runs, the wire is gone by now: see below.
        assert index_of("veth0a010009") == before
        two = guest(minirt, "two", *at_nine)
        assert index_of("veth0a010009") not in (before, 0)
        two.run("ping", "-c1", "-W2", "10.1.0.1")
        shell("ping", "-c1", "-W2", "10.1.0.9")
    finally:
        os.kill(resolver, signal.SIGCONT)
    assert addresses(minirt, "two", "web") == ["10.1.0.9"]
    kill_monitor(minirt, "two")
    wait_until(lambda: not index_of("veth0a010009"), "the end of the wire")


def index_of(link: str) -> int:
    """Return the index of a link; 0: there is none."""
    try:
        return socket.if_nametoindex(link)
    except OSError:
        return 0


def kill_monitor(minirt: Minirt, name: str) -> None:
    """Let a container die without a word."""
    monitor = processes.open_pidfd(monitor_of(minirt, name))
    signal.pidfd_send_signal(monitor, signal.SIGKILL)
    assert processes.wait_until_dead(monitor, 10 * PATIENCE)
    os.close(monitor)


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
