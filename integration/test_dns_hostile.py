"""Packets that somebody hostile sends, and clients that do: others are still answered."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import struct
import sys
import time
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import pytest

from integration import liar
from integration.naming import QUERY, Box, box, client_in, host_file, lone_web, resolver_pid
from integration.sandbox import PATIENCE, needs_tool, started
from minirt.network import forward, lookup
from minirt.state import run_dir

pytestmark = needs_tool("dig", "nft")


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Box]:
    """Return a container on net1."""
    with lone_web(tmp_path) as made:
        yield made


def private_of(pid: int) -> int:
    """Return the bytes that a process has for itself (proc(5), smaps_rollup)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) * 1024


def answers_at_once(client: socket.socket, number: int) -> None:
    """Ask for web, and pass over the answers to anything else."""
    query = number.to_bytes(2, "big") + QUERY[2:]
    client.send(query)
    while (answer := client.recv(65535))[:2] != query[:2] or answer[-4:] != bytes([10, 1, 0, 2]):
        pass


PACKETS, STREAMS, AT_ONCE = 100_000, 5_000, 100


@pytest.mark.slow
def test_a_hundred_thousand_damaged_packets_and_answers_do_no_harm(tmp_path: Path) -> None:
    dice = random.Random(11)
    with (
        started(sys.executable, liar.__file__, "127.0.0.53", 12) as lying,
        host_file("nameserver 127.0.0.53\n", tmp_path),
        box("net1") as web,
        box("net1") as other,
    ):
        assert lying.stdout
        assert lying.stdout.readline() == "up\n"
        web.take("net1", "10.1.0.2", "web", "many")
        web.take("net1", "10.1.0.3", "db", "many")
        pid = resolver_pid("net1")
        with client_in(web.pid) as hostile, client_in(other.pid) as bystander:
            answers_at_once(bystander, 1)
            before = private_of(pid)
            for turn in range(PACKETS // AT_ONCE):
                for _ in range(AT_ONCE):
                    hostile.send(liar.damaged(dice, dice.choice(liar.SEEDS)) or b"\0")
                answers_at_once(hostile, turn)  # So none was dropped unread.
                answers_at_once(bystander, turn)
        for _ in range(STREAMS):
            with client_in(web.pid, socket.SOCK_STREAM) as stream:
                said = liar.damaged(dice, dice.choice(liar.SEEDS))
                length = len(said) if dice.random() < 0.8 else dice.randrange(65536)
                stream.sendall(length.to_bytes(2, "big") + said)
        assert other.dig("+tcp", "web").records == ["10.1.0.2"]
        assert web.dig("web").records == ["10.1.0.2"]
        assert resolver_pid("net1") == pid
        assert private_of(pid) - before < 8 << 20
        assert (run_dir() / "networks/net1/resolver.log").read_text() == ""


def test_the_longest_message_over_tcp_costs_only_its_sender(web: Box) -> None:
    assert web.dig("web").records == ["10.1.0.2"]
    before = private_of(resolver_pid("net1"))
    clients = [client_in(web.pid, socket.SOCK_STREAM) for _ in range(20)]
    for client in clients:
        with pytest.raises(ConnectionError):
            while True:
                client.sendall(b"\xff\xff" + QUERY + bytes(65535 - len(QUERY)))
        client.close()
    assert private_of(resolver_pid("net1")) - before < 2 << 20
    assert web.dig("+tcp", "web").records == ["10.1.0.2"]


def test_other_operations_and_two_questions_are_told_off(web: Box) -> None:
    with client_in(web.pid) as client:
        client.send(QUERY[:2] + b"\x29\0" + QUERY[4:])
        assert client.recv(512) == QUERY[:2] + b"\xa9\x84" + bytes(8)
        client.send(QUERY[:5] + b"\2" + QUERY[6:])
        assert client.recv(512) == QUERY[:2] + b"\x81\x81" + bytes(8)


NAME = QUERY[12:-4]  # in wire form
TYPE = QUERY[-4:]
OPT = bytes.fromhex("0000291000000000000000")  # RFC 6891, section 6.1.2: version 0, no options
LONG = b"\x3f" + b"a" * 63
FORMERR, SERVFAIL = 1, 2  # SERVFAIL: it is not the name of web, and there is no server to ask


@pytest.mark.parametrize(
    ("records", "rest", "rcode", "answers"),
    [
        (0, NAME + TYPE, 0, 1),  # The control.
        (0, b"\xc0\x0c" + TYPE, FORMERR, 0),
        (0, NAME[:-1] + b"\xc0\x0c" + TYPE, FORMERR, 0),
        (0, b"\x40" + b"a" * 64 + b"\0" + TYPE, FORMERR, 0),
        (0, LONG * 3 + b"\x3e" + b"a" * 62 + b"\0" + TYPE, FORMERR, 0),
        (0, NAME + TYPE[:-1], FORMERR, 0),
        (0, b"\3o\0e\0" + TYPE, SERVFAIL, 0),
        (0, b"\x08web.net1\0" + TYPE, SERVFAIL, 0),
        (65535, NAME + TYPE, 0, 1),
        (2, NAME + TYPE + OPT + OPT, 0, 1),
        (1, NAME + TYPE + OPT[:-2] + b"\xff\xff", 0, 1),
    ],
    ids=[
        "plain",
        "pointer to itself",
        "pointer back to the name",
        "label of 64 bytes",
        "name of 256 bytes",
        "type cut off",
        "zero byte in a label",
        "dot in a label",
        "65535 records that are not there",
        "two OPT records",
        "options that are not there",
    ],
)
def test_queries_of_odd_forms_are_answered_at_once(
    web: Box, records: int, rest: bytes, rcode: int, answers: int
) -> None:
    with client_in(web.pid) as client:
        client.send(QUERY[:10] + records.to_bytes(2, "big") + rest)
        answer = client.recv(512)
        assert (answer[:2], answer[3] & 0xF, answer[7]) == (QUERY[:2], rcode, answers)
        answers_at_once(client, 1)


def test_many_queries_come_over_one_connection(web: Box) -> None:
    with client_in(web.pid, socket.SOCK_STREAM) as client:
        framed = struct.pack("!H", len(QUERY)) + QUERY
        client.sendall(framed * 100 + framed[:5])
        answers = b""
        while len(answers) < 100 * (2 + len(QUERY) + 16):
            answers += client.recv(65536)
        client.sendall(framed[5:])
        assert client.recv(65536)[-4:] == bytes([10, 1, 0, 2])


def test_a_client_that_half_closes_still_gets_its_answer(web: Box) -> None:
    with client_in(web.pid, socket.SOCK_STREAM) as client:
        client.sendall(struct.pack("!H", len(QUERY)) + QUERY)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(65536)[-4:] == bytes([10, 1, 0, 2])
        assert client.recv(1) == b""


@pytest.mark.slow
def test_a_client_that_sends_a_length_and_nothing_more_is_closed_and_costs_nothing(
    web: Box,
) -> None:
    with client_in(web.pid, socket.SOCK_STREAM) as client:
        client.settimeout(20 * PATIENCE)
        client.sendall(struct.pack("!H", 30))
        before = cpu_of(resolver_pid("net1"))
        assert web.dig("+tcp", "web").records == ["10.1.0.2"]
        assert client.recv(1) == b""
        assert cpu_of(resolver_pid("net1")) - before < 0.2 * PATIENCE


def test_too_many_connections_close_the_quietest(web: Box) -> None:
    clients = [client_in(web.pid, socket.SOCK_STREAM) for _ in range(100)]
    assert web.dig("+tcp", "web").records == ["10.1.0.2"]
    assert clients[0].recv(1) == b""
    clients[-1].sendall(struct.pack("!H", len(QUERY)) + QUERY)
    assert clients[-1].recv(512)[-4:] == bytes([10, 1, 0, 2])
    for client in clients:
        client.close()


def cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


FLOOD = """
import socket, sys
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
one.connect(("127.0.0.11", 53))
print("up", flush=True)
while True:
    try:
        one.send(bytes.fromhex(sys.argv[1]))
    except OSError:
        pass
"""


def test_one_containers_flood_does_not_silence_the_others(web: Box) -> None:
    with box("net1") as other:
        words = ("nsenter", f"--net=/proc/{other.pid}/ns/net", sys.executable, "-c", FLOOD)
        unknown = QUERY.replace(b"web", b"xyz")
        with started(*words, QUERY.hex()) as one, started(*words, unknown.hex()) as two:
            for flood in (one, two):
                assert flood.stdout and flood.stdout.readline() == "up\n"
            start = time.monotonic()
            with client_in(web.pid) as client:
                for number in range(10):
                    answers_at_once(client, number)
            assert time.monotonic() - start < 3 * PATIENCE


def test_a_server_that_asks_us_in_turn_is_asked_once_and_the_loop_ends(tmp_path: Path) -> None:
    start = time.monotonic()
    with host_file("", tmp_path), box("net1", servers=["127.0.0.1"]) as made:
        made.take("net1", "10.1.0.2", "web")
        words = ("nsenter", f"--net=/proc/{made.pid}/ns/net", sys.executable, "-c", FORWARDER)
        with started(*words) as forwarder:
            assert forwarder.stdout
            assert forwarder.stdout.readline() == "up\n"
            assert made.dig("round.example").status == "SERVFAIL"
            assert made.dig("web").records == ["10.1.0.2"]
            assert time.monotonic() - start < 8 * PATIENCE
            forwarder.kill()
            shown, _ = forwarder.communicate()
    # It came once as a question, and is sent again a few times in case it was lost.
    assert 1 <= shown.count("round") <= 2 + 5 / forward.PATIENCE


FORWARDER = """
import socket
def udp():
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server, others = udp(), []
server.bind(("127.0.0.1", 53))
print("up", flush=True)
while True:
    query, sender = server.recvfrom(4096)
    print(query, flush=True)
    others.append(udp())
    others[-1].sendto(query, ("127.0.0.11", 53))
"""


def test_an_answer_over_tcp_that_comes_byte_by_byte_is_waited_for_once() -> None:
    """A container can be its own server, and send a byte whenever the reader would give up."""
    where = ("127.0.0.9", 53)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        socket.socket() as streams,
        futures.ThreadPoolExecutor() as threads,
    ):
        datagrams.bind(where)
        streams.bind(where)
        streams.listen()

        def truncate() -> None:
            query, asker = datagrams.recvfrom(512)
            datagrams.sendto(query[:2] + b"\x82" + query[3:], asker)  # RFC 1035: QR and TC

        def trickle() -> None:
            connection, _ = streams.accept()
            with connection, contextlib.suppress(OSError):
                for byte in b"\0\x40" + bytes(10):
                    connection.send(bytes([byte]))
                    time.sleep(0.3 * PATIENCE)

        threads.submit(truncate)
        threads.submit(trickle)
        reply = lookup.ask("x", "A", where[0], seconds=PATIENCE)
    assert reply.over_tcp
    assert reply.status.startswith("no answer within")
