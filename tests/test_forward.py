"""Asking others: who is asked when, and whose answer counts. Servers are socket pairs."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import dnslib
import pytest

from minirt.network import forward, server_health
from minirt.network import question as q
from minirt.network.attempt import Words
from minirt.network.forward import Desk, Traffic
from minirt.network.lines import Lines
from minirt.network.loop import Loop
from minirt.network.server_health import ServerHealth
from minirt.network.stock import Stock
from minirt.network.upstream import Server

QUERY = bytes(dnslib.DNSRecord.question("nosuch.example").pack())
WORDS = Words(QUERY, len(QUERY))

Behaviour = Callable[[bytes], list[bytes]]


class Wire:
    """The servers of a test: each an address, and what comes back for a query."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loop = Loop()
        lines = Lines(self.loop)
        self.desk = Desk(Traffic(self.loop, ServerHealth(self.loop, lines), lines))
        self.behaviours: dict[str, Behaviour | None] = {}
        self.asked: list[tuple[str, bytes]] = []
        self.replies: list[dnslib.DNSRecord] = []
        self._ends: list[socket.socket] = []

        def connect(server: Server, kind: socket.SocketKind) -> socket.socket:
            return self._connect(server, kind)

        monkeypatch.setattr(Server, "socket", connect)

    def ask(self, *addresses: str, asker: object = 1, words: Words = WORDS) -> None:
        """Forward the query to these servers, and run until it is answered."""

        def reply(message: bytes) -> None:
            self.replies.append(dnslib.DNSRecord.parse(message))
            self.loop.stop()

        self.desk.ask(asker, words, [Server(address) for address in addresses], reply)

    def run(self, seconds: float = 5) -> None:
        """Turn the loop until a reply has come."""
        if not self.replies:
            self.loop._going = True  # A loop that was stopped is not meant to run again.
            self.loop.later(seconds, self.loop.stop)
            self.loop.run()

    def close(self) -> None:
        """Close what is still open."""
        self.desk.close()
        for probe in self.desk.traffic.health._probes.values():
            probe.close()
        self.desk.traffic.lines.hang_up()
        for end in self._ends:
            end.close()

    def _connect(self, server: Server, kind: socket.SocketKind) -> socket.socket:
        behaviour = self.behaviours[server.address]
        if behaviour is None:
            raise ConnectionRefusedError
        ours, theirs = socket.socketpair(socket.AF_UNIX, kind | socket.SOCK_NONBLOCK)
        self._ends.append(theirs)
        self.loop.watch(theirs.fileno(), lambda: self._serve(server.address, theirs, behaviour))
        return ours

    def _serve(self, address: str, end: socket.socket, behaviour: Behaviour) -> None:
        try:
            query = end.recv(65535)
        except OSError:
            query = b""
        if not query:
            self.loop.forget(end.fileno())
            return
        self.asked.append((address, query))
        for reply in behaviour(query):
            end.send(reply)


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    monkeypatch.setattr(forward, "PATIENCE", 0.05)
    monkeypatch.setattr(forward, "LAST_CALL", 1.0)
    made = Wire(monkeypatch)
    yield made
    made.close()


def rcode(number: int) -> Behaviour:
    return lambda query: [q.failure(query, number, len(query))]


def good(query: bytes) -> list[bytes]:
    reply = dnslib.DNSRecord.parse(query).reply()
    reply.add_answer(dnslib.RR("nosuch.example", 1, rdata=dnslib.A("192.0.2.1"), ttl=77))
    return [bytes(reply.pack())]


def silent(_query: bytes) -> list[bytes]:
    return []


def told(wire: Wire) -> list[str]:
    return [address for address, _ in wire.asked]


def test_the_answer_comes_back_under_the_clients_id(wire: Wire) -> None:
    wire.behaviours = {"1": good}
    wire.ask("1")
    wire.run()
    assert wire.replies[0].header.id == dnslib.DNSRecord.parse(QUERY).header.id
    assert [(str(rr.rdata), rr.ttl) for rr in wire.replies[0].rr] == [("192.0.2.1", 77)]
    assert wire.desk.traffic.total == 0
    assert not wire.desk.open


@pytest.mark.parametrize("number", [q.SERVFAIL, q.REFUSED])
def test_a_failure_or_a_refusal_leads_to_the_next_server_at_once(wire: Wire, number: int) -> None:
    wire.behaviours = {"1": rcode(number), "2": None, "3": good}
    wire.ask("1", "2", "3")
    wire.run()
    assert told(wire) == ["1", "3"]
    assert wire.replies[0].header.rcode == q.NOERROR


def test_no_such_name_is_an_answer(wire: Wire) -> None:
    wire.behaviours = {"1": rcode(q.NXDOMAIN), "2": good}
    wire.ask("1", "2")
    wire.run()
    assert told(wire) == ["1"]
    assert wire.replies[0].header.rcode == q.NXDOMAIN


def order_of(wire: Wire) -> list[str]:
    order = wire.desk.traffic.health.order([Server("1"), Server("2")])
    return [server.address for server in order]


def let_probes_end(wire: Wire) -> None:
    wire.replies.clear()
    wire.run(0.2)


def is_probe(query: bytes) -> bool:
    return str(dnslib.DNSRecord.parse(query).q.qname) == "."


def test_server_that_answers_nothing_is_asked_last(wire: Wire) -> None:
    wire.behaviours = {"1": silent, "2": good}
    wire.ask("1", "2")
    wire.run()
    let_probes_end(wire)
    questions = [address for address, query in wire.asked if not is_probe(query)]
    assert questions == ["1", "2"]
    assert [address for address, query in wire.asked if is_probe(query)] == ["1", "1"]
    assert order_of(wire) == ["2", "1"]


@pytest.mark.parametrize("number", [q.NOERROR, q.REFUSED, q.SERVFAIL])
def test_server_that_is_late_for_one_name_only_keeps_its_place(wire: Wire, number: int) -> None:
    def late_for_names(query: bytes) -> list[bytes]:
        return rcode(number)(query) if is_probe(query) else []

    wire.behaviours = {"1": late_for_names, "2": good}
    wire.ask("1", "2")
    wire.run()
    assert wire.replies[0].header.rcode == q.NOERROR
    assert order_of(wire) == ["1", "2"]
    let_probes_end(wire)
    assert order_of(wire) == ["1", "2"]


def test_answer_to_another_query_ends_the_probe(wire: Wire) -> None:
    other = QUERY.replace(b"nosuch", b"others")
    wire.behaviours = {"1": lambda query: good(query) if b"others" in query else [], "2": good}
    wire.ask("1", "2")
    wire.loop.later(forward.PATIENCE / 2, lambda: wire.ask("1", words=Words(other, len(other))))
    wire.run()
    let_probes_end(wire)
    assert any(is_probe(query) for _, query in wire.asked)
    assert order_of(wire) == ["1", "2"]


def test_server_that_answers_again_is_asked_first_again(wire: Wire) -> None:
    wire.behaviours = {"1": silent, "2": good}
    wire.ask("1", "2")
    wire.run()
    let_probes_end(wire)
    wire.behaviours = {"1": good}
    wire.ask("1")
    wire.run()
    let_probes_end(wire)
    assert order_of(wire) == ["1", "2"]


def test_server_is_asked_last_for_a_limited_time(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_health, "_ASKED_LAST", -1.0)
    wire.behaviours = {"1": silent, "2": good}
    wire.ask("1", "2")
    wire.run()
    let_probes_end(wire)
    assert order_of(wire) == ["1", "2"]


def test_servers_of_a_deleted_container_are_forgotten(wire: Wire) -> None:
    health, stock = wire.desk.traffic.health, Stock(lambda _: None)
    inside = [Server("1", stock), Server("2", stock)]
    wire.behaviours = {"1": silent, "2": silent}
    health.probe(inside[0], 0.01)
    wire.run(0.1)
    assert health.order(inside) == inside[::-1]
    health.probe(inside[1], 0.01)
    health.forget(stock)
    wire.run(0.1)
    assert health.order(inside) == inside


def test_each_server_sees_another_id(wire: Wire) -> None:
    wire.behaviours = {str(number): rcode(q.SERVFAIL) for number in range(8)}
    wire.ask(*wire.behaviours)
    wire.run()
    assert len({query[:2] for _, query in wire.asked}) > 4


def test_when_all_fail_the_client_is_told_so(wire: Wire) -> None:
    wire.behaviours = {"1": rcode(q.SERVFAIL), "2": silent}
    wire.ask("1", "2")
    wire.run()
    assert wire.replies[0].header.rcode == q.SERVFAIL
    assert str(wire.replies[0].q.qname) == "nosuch.example."


def test_without_any_server_the_client_is_told_at_once(wire: Wire) -> None:
    wire.ask()
    assert wire.replies[0].header.rcode == q.SERVFAIL


def test_a_guessed_answer_is_passed_over(wire: Wire) -> None:
    def forged_first(query: bytes) -> list[bytes]:
        wrong_id = bytes([query[0] ^ 1]) + good(query)[0][1:]
        wrong_question = good(query)[0].replace(b"nosuch", b"secure")
        return [wrong_id, wrong_question, b"", b"x", *good(query)]

    wire.behaviours = {"1": forged_first}
    wire.ask("1")
    wire.run()
    assert str(wire.replies[0].rr[0].rname) == "nosuch.example."
    assert len(wire.replies) == 1


def test_an_impatient_client_is_not_asked_twice_but_repeated(wire: Wire) -> None:
    def forgetful(query: bytes) -> list[bytes]:
        return good(query) if len(wire.asked) > 1 else []

    wire.behaviours = {"1": forgetful}
    wire.ask("1")
    wire.ask("1")
    wire.run()
    assert told(wire) == ["1", "1"]
    assert wire.asked[0] == wire.asked[1]
    assert len(wire.replies) == 1


def test_what_is_lost_on_the_way_is_sent_again(wire: Wire) -> None:
    wire.behaviours = {"1": lambda query: good(query) if QUERY[12:] in again(query) else []}
    sent: list[bytes] = []

    def again(query: bytes) -> bytes:
        """Return the query if it came before."""
        sent.append(query)
        return query if sent.count(query) > 1 else b""

    wire.ask("1")
    wire.run()
    questions = [query for _, query in wire.asked if not is_probe(query)]
    assert questions[0] == questions[1]
    assert wire.replies[0].header.rcode == q.NOERROR


def test_two_who_ask_the_same_are_one_question_and_each_hears_the_answer(wire: Wire) -> None:
    wire.behaviours = {"1": good}
    other = b"\x77\x77" + QUERY[2:]
    wire.ask("1", asker=1)
    wire.ask("1", asker=2, words=Words(other, len(other)))
    assert wire.desk.traffic.total == 2
    wire.run()
    assert told(wire) == ["1"]
    ids = [int.from_bytes(one[:2], "big") for one in (QUERY, other)]
    assert [one.header.id for one in wire.replies] == ids
    assert wire.desk.traffic.total == wire.desk.waiting == 0


def test_another_spelling_is_another_question(wire: Wire) -> None:
    wire.behaviours = {"1": good}
    other = QUERY.replace(b"nosuch", b"NoSuch")
    wire.ask("1", asker=1)
    wire.ask("1", asker=2, words=Words(other, len(other)))
    wire.run()
    wire.run()
    assert {query[2:] for _, query in wire.asked} == {QUERY[2:], other[2:]}


def test_too_many_questions_are_told_so_at_once(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward, "MOST_EACH", 1)
    wire.behaviours = {"1": silent}
    wire.ask("1", asker=1)
    wire.ask("1", asker=2)
    assert wire.replies[0].header.rcode == q.SERVFAIL


def test_nobody_is_answered_after_the_end(wire: Wire) -> None:
    wire.behaviours = {"1": good}
    wire.ask("1")
    wire.desk.close()
    wire.run(0.1)
    assert not wire.replies
    assert wire.desk.traffic.total == 0
