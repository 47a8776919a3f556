"""Names that a network's resolver answers itself, asked with dig from inside."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.naming import Box, box, descriptors_of, host_server, resolver_pid, upstream
from integration.sandbox import PATIENCE, needs_tool, started

pytestmark = needs_tool("dig", "nft")

ID = "0123456789ab"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """Return what the host's DNS server is asked: a name of ours in it has leaked."""
    with host_server(tmp_path) as path:
        yield path


@pytest.fixture
def web(log: Path) -> Iterator[Box]:
    """Return a container on net1, called web, with a neighbour called db."""
    with box("net1") as made:
        made.take("net1", "10.1.0.2", "web", "www", "shared", "Mixed.Case", ID, "webhost")
        made.take("net1", "10.1.0.3", "db", "shared")
        yield made


@pytest.mark.parametrize("name", ["web", "www", ID, "webhost", "web.", "mixed.case"])
def test_every_name_of_a_container_leads_to_it(web: Box, name: str) -> None:
    answer = web.dig(name)
    assert (answer.status, answer.records) == ("NOERROR", ["10.1.0.2"])
    assert answer.flags == "qr rd ra"


@pytest.mark.parametrize("name", ["WEB", "Mixed.Case", "wEb.net1", "web.NET1"])
def test_letters_may_be_large_or_small_and_come_back_as_asked(web: Box, name: str) -> None:
    answer = web.dig(name)
    assert answer.records == ["10.1.0.2"]
    assert answer.lines[0].split()[0] == f"{name}."


def test_an_answer_is_for_now_only(web: Box) -> None:
    assert web.dig("web").lines[0].split()[1] == "0"


def test_part_of_an_id_or_more_is_not_a_name(web: Box, log: Path) -> None:
    web.dig(ID[:11])
    web.dig("foo.web")
    assert log.read_text() == f"udp {ID[:11]}. A\nudp foo.web. A\n"


def test_a_shared_alias_gives_all_and_begins_with_another_each_time(web: Box) -> None:
    firsts = set()
    for _ in range(4):
        answer = web.dig("shared")
        assert sorted(answer.records) == ["10.1.0.2", "10.1.0.3"]
        firsts.add(answer.records[0])
    assert len(firsts) == 2


@pytest.mark.parametrize(
    "qtype", ["AAAA", "MX", "TXT", "ANY", "SOA", "HTTPS", "CNAME", "NS", "SRV"]
)
def test_no_other_type_of_a_known_name_is_ever_asked_elsewhere(
    web: Box, log: Path, qtype: str
) -> None:
    answer = web.dig("+notcp", "web", qtype)
    assert answer.status == "NOERROR"
    assert answer.records == (["10.1.0.2"] if qtype == "ANY" else [])
    assert log.read_text() == ""


def test_addresses_lead_back_to_names(web: Box) -> None:
    web.take("net1", "fd00::7", "six")
    assert web.dig("-x", "10.1.0.2").records == ["web.net1."]
    assert web.dig("-x", "fd00::7").records == ["six.net1."]
    assert web.dig("six", "AAAA").records == ["fd00::7"]
    answer = web.dig("six", "A")
    assert (answer.status, answer.records) == ("NOERROR", [])


def test_the_dead_are_not_answered_for_and_the_others_of_an_alias_stay(web: Box, log: Path) -> None:
    assert web.dig("db").records == ["10.1.0.3"]
    web.give_up("net1", "10.1.0.3")
    assert web.dig("shared").records == ["10.1.0.2"]
    assert web.dig("db").records == ["192.0.2.99"]
    assert "db." in log.read_text()
    web.take("net1", "10.1.0.9", "db")
    assert web.dig("db").records == ["10.1.0.9"]


def test_a_name_is_known_as_soon_as_its_lease_is_written(web: Box) -> None:
    for number in range(10, 30):
        web.take("net1", f"10.1.0.{number}", f"new{number}")
        assert web.dig(f"new{number}").records == [f"10.1.0.{number}"]


def test_after_a_rename_only_the_new_name_and_the_id_are_known(web: Box, log: Path) -> None:
    web.rename("net1", "10.1.0.2", "renamed", ID)
    assert web.dig("renamed").records == web.dig(ID).records == ["10.1.0.2"]
    assert web.dig("-x", "10.1.0.2").records == ["renamed.net1."]
    web.dig("web")
    assert "udp web. A" in log.read_text()


def test_another_networks_names_are_unknown(web: Box, log: Path) -> None:
    web.take("net2", "10.2.0.2", "secret")
    for name in ("secret", "secret.net2"):
        assert web.dig(name).records == ["192.0.2.99"]
    assert web.dig("-x", "10.2.0.2").records == ["192.0.2.99"]
    web.tell(networks=["net1", "net2"])  # The control: one that is on both.
    assert web.dig("secret").records == ["10.2.0.2"]


def test_networks_are_searched_in_order_and_names_may_say_which(web: Box) -> None:
    web.take("net2", "10.2.0.2", "web")
    web.tell(networks=["net2", "net1"])
    assert web.dig("web").records == ["10.2.0.2"]
    assert web.dig("web.net1").records == ["10.1.0.2"]
    assert web.dig("web.net2").records == ["10.2.0.2"]
    web.tell(networks=["net1"])
    assert web.dig("web").records == ["10.1.0.2"]
    assert web.dig("web.net2").records == ["192.0.2.99"]


def test_two_networks_have_two_resolvers_that_know_different_things(web: Box) -> None:
    with box("net2") as other:
        other.take("net2", "10.2.0.2", "other")
        assert other.dig("other").records == ["10.2.0.2"]
        assert other.dig("web").records == ["192.0.2.99"]
        assert web.dig("other").records == ["192.0.2.99"]


def test_forty_addresses_need_edns_or_tcp(web: Box) -> None:
    for number in range(40):
        web.take("net1", f"10.1.1.{number}", f"c{number}", "many")
    cut = web.dig("+noedns", "+ignore", "many")
    assert (len(cut.records), cut.flags) == (30, "qr tc rd ra")
    assert len(web.dig("+noedns", "many").records) == 40  # dig comes again, by TCP
    assert len(web.dig("+bufsize=1232", "+notcp", "+ignore", "many").records) == 40
    assert len(web.dig("+tcp", "many").records) == 40


def test_the_containers_own_server_may_have_port_53(web: Box, tmp_path: Path) -> None:
    with upstream(tmp_path / "own.log", "0.0.0.0", web.pid):
        assert web.dig("web").records == ["10.1.0.2"]
        shown = web.run("dig", "+short", "@127.0.0.1", "web").stdout
        assert shown == "192.0.2.99\n"
    assert "web." in (tmp_path / "own.log").read_text()


def test_the_way_to_the_resolver_brings_no_connection_tracking(web: Box) -> None:
    def tracked() -> int:
        assert web.dig("web").records == web.dig("+tcp", "web").records == ["10.1.0.2"]
        web.run("ping", "-c1", "127.0.0.1")
        return int(web.run("sysctl", "-n", "net.netfilter.nf_conntrack_count").stdout)

    assert tracked() == 0
    chain = "chain output { type filter hook output priority 0; ct state new accept; }"
    web.run("nft", f"table ip own {{ {chain}; }}")  # If a rule of the container's own wants it,
    assert tracked() == 1  # the ping is tracked, but not the questions.


def test_a_container_with_one_lease_among_many_changes_is_answered_at_once(web: Box) -> None:
    web.dig("web")
    for number in range(200):
        web.take("net1", f"10.1.2.{number}", f"crowd{number}")
    start = time.monotonic()
    assert web.dig("crowd199").records == ["10.1.2.199"]
    assert time.monotonic() - start < 0.5 * PATIENCE


def test_without_inotify_the_leases_themselves_are_asked(log: Path) -> None:
    instances = Path("/proc/sys/fs/inotify/max_user_instances")
    before = instances.read_text()
    try:
        instances.write_text("0")
        with box("net1") as made:
            made.take("net1", "10.1.0.2", "web")
            assert made.dig("web").records == ["10.1.0.2"]
            made.take("net1", "10.1.0.3", "late")
            assert made.dig("late").records == ["10.1.0.3"]
            made.give_up("net1", "10.1.0.2")
            assert made.dig("web").records == ["192.0.2.99"]
            assert "inotify" not in held_by_resolver()
    finally:
        instances.write_text(before)


def held_by_resolver() -> str:
    return " ".join(descriptors_of(resolver_pid("net1")))


def test_a_search_by_the_c_library_finds_the_name(web: Box, tmp_path: Path) -> None:
    (tmp_path / "resolv").write_text("nameserver 127.0.0.11\noptions ndots:0\n")
    mount = f"mount --bind {tmp_path}/resolv /etc/resolv.conf; exec getent hosts db"
    with started(
        "nsenter", f"--net=/proc/{web.pid}/ns/net", "unshare", "-m", "sh", "-c", mount
    ) as one:
        shown, _ = one.communicate(timeout=10)
    assert shown.split()[0] == "10.1.0.3"
