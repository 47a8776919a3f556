"""One container that is served: its connection to us, its two sockets, its questions."""

from __future__ import annotations

import array
import json
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from minirt.network import lending
from minirt.network import question as q
from minirt.network.answers import Answers
from minirt.network.attempt import Words
from minirt.network.forward import Desk, Reply, Traffic
from minirt.network.loop import Loop
from minirt.network.resolv_conf import RESOLVER
from minirt.network.stock import Stock
from minirt.network.streams import Streams
from minirt.network.upstream import Host, Server
from minirt.network.zone import Zone
from minirt.network.zone_watch import Watch

_BATCH = 64  # datagrams of one container, before the next one has its turn
_LONGEST_QUERY = 4096  # bytes over UDP
_LONGEST_STREAMED = 65535
_LONGEST_INTRODUCTION = 1 << 16


@dataclass(slots=True)
class House:
    """What all clients share."""

    loop: Loop
    watch: Watch
    traffic: Traffic
    host: Host
    clients: set[Client] = field(default_factory=set)
    dismissed: bool = False  # nobody will come after the last client

    def catch_up(self) -> None:
        """Learn what has changed, and forget the answers that were true before."""
        if self.watch.catch_up():
            for client in self.clients:
                client.answers.forget()


class Client:
    """Lives as long as its connection, which the container's monitor holds."""

    def __init__(self, house: House, link: socket.socket, gone: Callable[[], None]) -> None:
        self._house, self._link, self._gone = house, link, gone
        self.answers = Answers()
        self._zones: list[Zone] = []
        self._desk = Desk(house.traffic)
        self._udp: socket.socket | None = None
        self._streams: Streams | None = None
        self._stock = Stock(self._borrow)
        self._servers: list[Server] | None = None  # None: those of this machine
        self._hosts: list[Server] | None = None  # these, while a batch of questions is taken
        self._bare = False  # names without a dot are asked elsewhere
        house.clients.add(self)
        house.loop.watch(link.fileno(), self._listen)

    def close(self) -> None:
        """Let go of the container at once: our sockets keep its network namespace alive."""
        loop = self._house.loop
        self._house.clients.discard(self)
        loop.forget(self._link.fileno())
        self._link.close()
        if self._udp is not None:
            loop.forget(self._udp.fileno())
            self._udp.close()
        if self._streams is not None:
            self._streams.close()
        self._desk.close()
        self._house.traffic.health.forget(self._stock)
        self._house.traffic.lines.forget(self._stock)
        self._stock.close()
        for zone in self._zones:
            self._house.watch.leave(zone)
        self._zones = []
        self._gone()

    def retire(self) -> None:
        """Take no more questions; those that were taken are answered yet.

        The end of the connection sends the monitor to the next resolver.
        """
        loop = self._house.loop
        loop.forget(self._link.fileno())
        self._link.close()
        if self._udp is not None:
            loop.forget(self._udp.fileno())
        if self._streams is not None:
            self._streams.stop_listening()

    @property
    def is_busy(self) -> bool:
        """Whether somebody still waits for an answer, or holds a connection open."""
        return bool(self._desk.open or (self._streams is not None and self._streams.open))

    def _listen(self) -> None:
        try:
            text, fds = _receive(self._link)
        except BlockingIOError:
            return
        except OSError:
            text, fds = b"", []
        if not text:
            self.close()
            return
        if text in lending.KINDS:
            self._stock.add(text, fds)
            return
        try:
            words = json.loads(text)
            if words.get("leave"):
                self._house.dismissed = True
                self.close()
            elif words.get("retire"):
                signal.raise_signal(signal.SIGTERM)
            else:
                self._learn(words, fds)
        except Exception:  # Whoever can't introduce a container has a bug, and its traceback.
            self.close()
            raise

    def _learn(self, words: dict[str, Any], fds: list[int]) -> None:
        if self._udp is not None:  # They are copies of what we have.
            for fd in fds:
                socket.close(fd)
        elif fds:
            self._udp = socket.socket(fileno=fds[0])
            listener = socket.socket(fileno=fds[1])
            self._udp.setblocking(False)
            listener.setblocking(False)
            self._streams = Streams(self._house.loop, listener, self._hear_stream)
            self._house.loop.watch(self._udp.fileno(), self._hear_datagrams)
        used = [self._house.watch.use(network) for network in words["networks"]]
        for zone in self._zones:  # Only now: what stays in use is not read again.
            self._house.watch.leave(zone)
        self._zones = used
        self.answers.know(used)
        self._bare = words.get("bare", False)
        self._servers = self._chosen(words["servers"]) if words["servers"] else None
        if words["internal"] and self._servers is None:
            self._servers = []  # CVE-2024-29018: nothing leaves by way of this machine.

    def _chosen(self, addresses: list[str]) -> list[Server]:
        """Return the servers to ask from inside the container, but never ourselves."""
        return [Server(address, self._stock) for address in addresses if address != RESOLVER]

    def _borrow(self, kind: bytes) -> None:
        """Ask the monitor for sockets inside the container."""
        with suppress(OSError):  # It has died, which the loop is about to tell us.
            self._link.send(kind, socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT)

    def _hear_datagrams(self) -> None:
        """Take one query at a time: if we are killed, the others are still in the socket."""
        assert self._udp is not None
        receive, send = self._udp.recvfrom, self._udp.sendto
        kept, is_up_to_date = self.answers.kept, self._house.watch.is_up_to_date
        self._hosts = None
        for _ in range(_BATCH):
            try:
                query, sender = receive(_LONGEST_QUERY)
            except OSError:  # There is no more.
                return
            if not is_up_to_date():
                self._house.catch_up()
            rotation = kept.get(query[2:])
            try:
                if rotation is not None:
                    send(query[:2] + next(rotation), sender)
                else:
                    self._hear_datagram(query, sender)
            except OSError:  # It doesn't fetch its answers, or its own firewall forbids them.
                pass

    def _hear_datagram(self, query: bytes, sender: tuple[str, int]) -> None:
        def reply(answer: bytes) -> None:
            if answer and self._udp is not None:
                try:
                    self._udp.sendto(answer, sender)
                except OSError:
                    pass  # As above.

        self._answer(query, (sender, query[:2]), reply, stream=False)

    def _hear_stream(self, query: bytes, reply: Reply) -> None:
        self._house.catch_up()
        self._hosts = None
        self._answer(query, object(), reply, stream=True)  # Nothing is repeated over TCP.

    def _answer(self, query: bytes, asker: object, reply: Reply, *, stream: bool) -> None:
        try:
            question = q.read(query)
        except q.Malformed as malformed:
            reply(b"" if malformed.rcode is None else q.failure(query, malformed.rcode))
            return
        limit = _LONGEST_STREAMED if stream else None
        answer = self.answers.local(query, question, limit=limit)
        if answer is None and self._stays_here(question):
            answer = q.failure(query, q.NXDOMAIN, question.end)
        if answer is not None:
            reply(answer)
            return
        servers = self._servers
        if servers is None:
            servers = self._hosts = self._hosts or self._house.host.servers()
        self._desk.ask(asker, Words(query, question.end, stream), servers, reply)

    def _stays_here(self, question: q.Question) -> bool:
        """Say whether a name has no dot: a typo, or a container that has ended.

        Strangers are not to hear of these. With a search list, the C library asks for the
        longer names as well.
        """
        single = len(question.name) > 0 and len(question.name) == 1 + question.name[0]
        return single and not self._bare and question.qtype in (q.A, q.AAAA)


def _receive(link: socket.socket) -> tuple[bytes, list[int]]:
    """Receive one message and its descriptors, close-on-exec from the start."""
    room = socket.CMSG_SPACE(lending.MOST * array.array("i").itemsize)
    text, ancillary, _, _ = link.recvmsg(
        _LONGEST_INTRODUCTION, room, socket.MSG_CMSG_CLOEXEC | socket.MSG_DONTWAIT
    )
    fds = array.array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return text, list(fds)
