"""Queries over TCP (RFC 7766): many on one connection, answered in any order.

A client may be slow, silent or hostile. Nothing here waits for it; what it can hold of us is
bounded: connections, questions on their way, bytes it doesn't fetch, and time.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

from minirt.network.forward import Reply
from minirt.network.loop import READ, WRITE, Loop

IDLE = 5.0  # seconds without a whole query or answer, unless we owe one
MOST_CONNECTIONS = 32
_MOST_QUERIES = 64  # unanswered, per connection
_MOST_UNSENT = 1 << 16  # bytes
_AT_ONCE = 512  # bytes that are read in a turn: 15 short queries, then others have theirs
_LONGEST_QUERY = 4096  # bytes; the longest name with all of EDNS takes a tenth

Hear = Callable[[bytes, Reply], None]


class Streams:
    """The TCP connections to one container's listener."""

    def __init__(self, loop: Loop, listener: socket.socket, hear: Hear) -> None:
        self.loop, self.hear = loop, hear
        self._listener = listener
        self.open: dict[Stream, None] = {}  # the one that has been quiet longest comes first
        loop.watch(listener.fileno(), self._accept)

    def stop_listening(self) -> None:
        """Close the listener, here."""
        if self._listener.fileno() >= 0:
            self.loop.forget(self._listener.fileno())
            self._listener.close()

    def close(self) -> None:
        """Close the listener and every connection."""
        self.stop_listening()
        for stream in list(self.open):
            stream.close()

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno == errno.EINVAL:
                # With CAP_NET_ADMIN the container can end it (sock_diag(7), SOCK_DESTROY). Then
                # epoll reports it for ever.
                self.stop_listening()
            else:
                self._close_quietest()  # Out of descriptors (accept(2)): make room.
            return
        if len(self.open) >= MOST_CONNECTIONS:
            self._close_quietest()
        connection.setblocking(False)
        self.open[Stream(self, connection)] = None

    def _close_quietest(self) -> None:
        for stream in list(self.open)[:1]:
            stream.close()


class Stream:
    """One connection."""

    def __init__(self, streams: Streams, connection: socket.socket) -> None:
        self._streams, self._connection = streams, connection
        self._received, self._unsent = b"", b""
        self._unanswered = 0
        self._ended = False  # the client has said all
        self._taking = False  # queries are being taken; an answer may come at once
        self._closed = False
        self._deadline = streams.loop.later(IDLE, self._expire)
        self._events = READ
        streams.loop.watch(connection.fileno(), self._turn, READ)

    def close(self) -> None:
        """Close the connection; answers that come later are dropped."""
        if self._closed:
            return
        self._closed = True
        self._deadline.cancel()
        self._streams.loop.forget(self._connection.fileno())
        self._connection.close()
        self._streams.open.pop(self, None)

    def _expire(self) -> None:
        if self._unanswered and not self._unsent:
            self._refresh()  # It waits for us, not we for it.
        else:
            self.close()

    def _turn(self) -> None:
        if not self._events:  # Nothing was wanted: it is a reset, or news from before.
            if self._connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self.close()
            return
        try:
            if self._unsent:
                self._unsent = self._unsent[self._connection.send(self._unsent) :]
            if self._events & READ:
                data = self._connection.recv(_AT_ONCE)
                self._ended = not data
                self._received += data
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        self._settle()

    def _take_queries(self) -> None:
        while len(self._received) >= 2 and not self._is_full():
            end = 2 + int.from_bytes(self._received[:2], "big")
            if end > 2 + _LONGEST_QUERY:
                self.close()
            if self._closed or len(self._received) < end:
                return
            query, self._received = self._received[2:end], self._received[end:]
            self._unanswered += 1
            self._refresh()
            self._streams.hear(query, self._reply)

    def _reply(self, answer: bytes) -> None:
        """Take an answer; an empty one says that the query deserves none."""
        if self._closed:
            return
        self._unanswered -= 1
        if answer:
            self._unsent += len(answer).to_bytes(2, "big") + answer
        self._refresh()
        self._settle()

    def _is_full(self) -> bool:
        return self._unanswered >= _MOST_QUERIES or len(self._unsent) >= _MOST_UNSENT

    def _settle(self) -> None:
        """Take what there is room for; decide what to wait for next."""
        if self._taking:
            return
        self._taking = True
        self._take_queries()
        self._taking = False
        if self._closed:
            return
        if self._ended and not self._unanswered and not self._unsent:
            self.close()
            return
        reading = not self._ended and not self._is_full()
        events = (READ if reading else 0) | (WRITE if self._unsent else 0)
        if events != self._events:
            self._events = events
            self._streams.loop.watch(self._connection.fileno(), self._turn, events)

    def _refresh(self) -> None:
        """Something whole has come or gone: begin to wait anew."""
        self._deadline.cancel()
        self._deadline = self._streams.loop.later(IDLE, self._expire)
        self._streams.open.pop(self, None)
        self._streams.open[self] = None
