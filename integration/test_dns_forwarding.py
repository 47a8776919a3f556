"""Questions that go on to other servers: to which, from where, and what comes back."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from integration.naming import Box, box, client_in, host_file, host_server, upstream
from integration.sandbox import PATIENCE, needs_tool, started

pytestmark = needs_tool("dig", "nft")

DEAD = "10.255.255.1"  # in no network: a "no route" at once


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """Return what the host's DNS server, at 127.0.0.53, is asked."""
    with host_server(tmp_path) as path:
        yield path


@pytest.fixture
def web(log: Path) -> Iterator[Box]:
    """Return a container on net1."""
    with box("net1") as made:
        made.take("net1", "10.1.0.2", "web")
        yield made


def seconds_of(asker: Box, *words: str) -> tuple[str, list[str], float]:
    start = time.monotonic()
    answer = asker.dig(*words)
    return answer.status, answer.records, time.monotonic() - start


def test_an_unknown_name_is_asked_of_the_hosts_server_from_the_host(web: Box, log: Path) -> None:
    answer = web.dig("+noad", "example.org")
    assert (answer.records, answer.flags) == (["192.0.2.99"], "qr aa rd ra")
    assert answer.lines[0].split()[1] == "300"
    assert log.read_text() == "udp example.org. A\n"


def test_no_such_name_is_final(web: Box, tmp_path: Path) -> None:
    with (
        upstream(tmp_path / "second", "127.0.0.54"),
        rewritten(tmp_path, "127.0.0.53", "127.0.0.54"),
    ):
        assert web.dig("nx.example").status == "NXDOMAIN"
    assert (tmp_path / "second").read_text() == ""


@pytest.mark.parametrize("kind", ["servfail", "refused"])
def test_a_failing_server_is_followed_by_the_next_at_once(
    web: Box, tmp_path: Path, kind: str
) -> None:
    with (
        upstream(tmp_path / "second", "127.0.0.54"),
        rewritten(tmp_path, "127.0.0.53", "127.0.0.54"),
    ):
        status, _, seconds = seconds_of(web, f"{kind}.example")
    assert status == "SERVFAIL"  # the second one fails as well
    assert seconds < 1.0 * PATIENCE
    assert (tmp_path / "second").read_text() == f"udp {kind}.example. A\n"


def test_a_dead_server_is_followed_by_the_next_at_once(web: Box, tmp_path: Path) -> None:
    with rewritten(tmp_path, "127.0.0.99", DEAD, "127.0.0.53"):
        status, records, seconds = seconds_of(web, "example.org")
    assert (status, records) == ("NOERROR", ["192.0.2.99"])
    assert seconds < 1.0 * PATIENCE


def test_a_silent_server_is_followed_soon_and_then_asked_last(web: Box, tmp_path: Path) -> None:
    with (
        upstream(tmp_path / "second", "127.0.0.54"),
        swallower("127.0.0.55"),
        rewritten(tmp_path, "127.0.0.55", "127.0.0.54"),
    ):
        status, _, first = seconds_of(web, "example.org")
        assert status == "NOERROR"
        assert 1 < first < 4 * PATIENCE
        assert seconds_of(web, "example.net")[2] < 1.0 * PATIENCE


def test_question_that_is_never_answered_moves_no_server_for_other_containers(
    web: Box, tmp_path: Path
) -> None:
    """Of two servers, only the first knows the names of a company (split horizon)."""
    first, second = tmp_path / "first", tmp_path / "second"
    with (
        upstream(first, "127.0.0.54"),
        upstream(second, "127.0.0.55"),
        rewritten(tmp_path, "127.0.0.54", "127.0.0.55"),
        box("net1", container="d" * 64) as other,
    ):
        status, _, seconds = seconds_of(web, "silent.attacker.example")
        assert (status, seconds > 1) == ("SERVFAIL", True)
        assert other.dig("db.corp").status == "NOERROR"
        assert "db.corp" not in second.read_text()
        assert "db.corp" in first.read_text()
        assert "udp . NS\n" in first.read_text()  # the probe


def test_server_that_answers_nothing_is_asked_last_for_other_containers_too(
    web: Box, tmp_path: Path
) -> None:
    with (
        upstream(tmp_path / "second", "127.0.0.54"),
        swallower("127.0.0.55"),
        rewritten(tmp_path, "127.0.0.55", "127.0.0.54"),
        box("net1", container="d" * 64) as other,
    ):
        assert seconds_of(web, "example.org")[2] > 1
        assert seconds_of(other, "example.net")[2] < 1.0 * PATIENCE


def test_when_all_are_silent_the_client_hears_of_it_before_it_gives_up(
    web: Box, tmp_path: Path
) -> None:
    with swallower("127.0.0.55"), rewritten(tmp_path, "127.0.0.55"):
        status, _, seconds = seconds_of(web, "example.org")
    assert status == "SERVFAIL"
    assert seconds < 5.8 * PATIENCE


def test_without_any_server_the_answer_is_servfail_at_once(web: Box, tmp_path: Path) -> None:
    with rewritten(tmp_path):  # resolv.conf(5): then it is the machine itself, where nobody is
        status, _, seconds = seconds_of(web, "example.org")
    assert status == "SERVFAIL"
    assert seconds < 1.0 * PATIENCE


def test_sixty_addresses_pass_and_a_truncated_answer_leads_to_tcp(web: Box, log: Path) -> None:
    assert len(web.dig("+notcp", "+ignore", "many.example").records) == 60
    assert "tc" in web.dig("+ignore", "cut.example").flags.split()
    assert len(web.dig("cut.example").records) == 60
    assert log.read_text().splitlines()[-1] == "tcp cut.example. A"


def test_a_hundred_questions_on_one_connection_are_all_answered(web: Box) -> None:
    head, tail = b"\1\0\0\1\0\0\0\0\0\0", b"\7example\0\0\1\0\1"
    queries = [
        number.to_bytes(2, "big") + head + b"\4n%03d" % number + tail for number in range(100)
    ]
    with client_in(web.pid, socket.SOCK_STREAM) as client:
        client.sendall(b"".join(len(one).to_bytes(2, "big") + one for one in queries))
        client.shutdown(socket.SHUT_WR)
        with client.makefile("rb") as stream:
            answers = stream.read()
    ids = set()
    while answers:
        end = 2 + int.from_bytes(answers[:2], "big")
        ids.add(int.from_bytes(answers[2:4], "big"))
        answers = answers[end:]
    assert ids == set(range(100))


@needs_tool("dnsperf")
def test_a_slow_server_does_not_hold_up_local_names_nor_other_questions(
    web: Box, tmp_path: Path
) -> None:
    slow = ("dnsperf", "-s", "127.0.0.11", "-q100", "-n1", f"-t{8 * PATIENCE:.0f}", "-d")
    queries = tmp_path / "queries"
    queries.write_text("".join(f"slow.n{number}.example A\n" for number in range(100)))
    with started("nsenter", f"--net=/proc/{web.pid}/ns/net", *slow, queries) as asking:
        time.sleep(0.2)
        for _ in range(5):
            assert seconds_of(web, "web")[2] < 1.0 * PATIENCE
        assert seconds_of(web, "quick.example")[2] < 1.0 * PATIENCE
        shown, _ = asking.communicate(timeout=20)
    assert "Queries completed:    100 (100.00%)" in shown


def test_an_internal_containers_questions_never_leave(web: Box, log: Path) -> None:
    with box("net1", internal=True) as inner:
        assert inner.dig("web").records == ["10.1.0.2"]
        status, _, seconds = seconds_of(inner, "example.org")
        assert (status, log.read_text()) == ("SERVFAIL", "")
        assert seconds < 1.0 * PATIENCE
        inner.tell(internal=False)
        assert inner.dig("example.org").status == "NOERROR"
        inner.tell(internal=True)
        assert inner.dig("example.org").status == "SERVFAIL"


def test_named_servers_are_asked_from_inside_even_of_an_internal_network(
    log: Path, tmp_path: Path
) -> None:
    with (
        box("net1", servers=["127.0.0.1"], internal=True) as inner,
        upstream(tmp_path / "inside", "127.0.0.1", inner.pid),
    ):
        assert inner.dig("example.org").records == ["192.0.2.99"]
        assert len(inner.dig("+tcp", "many.example").records) == 60
    assert (tmp_path / "inside").read_text() == "udp example.org. A\ntcp many.example. A\n"
    assert log.read_text() == ""


def test_the_resolver_does_not_ask_itself(log: Path) -> None:
    with box("net1", servers=["127.0.0.11"]) as loop:
        status, _, seconds = seconds_of(loop, "example.org")
    assert (status, log.read_text()) == ("SERVFAIL", "")
    assert seconds < 1.0 * PATIENCE


def test_a_single_label_stays_here_unless_somebody_wants_it_asked(log: Path) -> None:
    with box("net1", bare=False) as made:
        for kind in ("A", "AAAA"):
            assert made.dig("nosuch", kind).status == "NXDOMAIN"
        assert log.read_text() == ""
        made.dig("nosuch", "TXT")
        made.dig("no.such")
        assert log.read_text() == "udp nosuch. TXT\nudp no.such. A\n"
        made.tell(bare=True)
        assert made.dig("nosuch").records == ["192.0.2.99"]
        assert made.dig("refused").status == "SERVFAIL"  # and a refusal is no answer, nor a name


def test_what_client_and_server_say_is_passed_on_to_the_letter(web: Box, tmp_path: Path) -> None:
    """Letters large and small (draft-vixie-dnsext-dns0x20), CD, EDNS with size, DO and cookie."""
    rest = b"\1\x10\0\1\0\0\0\0\0\1\3wWw\7eXample\0\0\1\0\1"
    rest += b"\0\0\x29\x0f\xa0\0\0\x80\0\0\x0c\0\x0a\0\x08\1\2\3\4\5\6\7\x08"
    said = b"\x85\xb0" + rest[2:] + bytes(2000)  # aa, ad; longer than 512 and than 1232 bytes
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        rewritten(tmp_path, "127.0.0.54"),
        client_in(web.pid) as client,
    ):
        server.bind(("127.0.0.54", 53))
        server.settimeout(5 * PATIENCE)
        client.send(b"\x12\x34" + rest)
        query, sender = server.recvfrom(4096)
        assert query[2:] == rest
        server.sendto(query[:2] + said, sender)
        assert client.recv(4096) == b"\x12\x34" + said


def test_a_changed_file_of_the_host_counts_at_once(web: Box, log: Path, tmp_path: Path) -> None:
    web.dig("before.example")
    with upstream(tmp_path / "second", "127.0.0.54"):
        (tmp_path / "resolv.conf").write_text("# longer than before\nnameserver 127.0.0.54\n")
        web.dig("after.example")
    assert (tmp_path / "second").read_text() == "udp after.example. A\n"
    assert "after" not in log.read_text()


def rewritten(folder: Path, *servers: str) -> AbstractContextManager[Path]:
    """Name other servers in the host's file during the body."""
    place = folder / "other"
    place.mkdir()
    return host_file("".join(f"nameserver {server}\n" for server in servers), place)


@contextmanager
def swallower(address: str) -> Iterator[None]:
    """Take datagrams at port 53 and never answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind((address, 53))
        yield
