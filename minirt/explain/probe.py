"""A real packet sent from a namespace, and what becomes of it: echo, connection or datagram."""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import time
from contextlib import nullcontext
from dataclasses import dataclass

from minirt.explain.packet import Address
from minirt.kernel import namespaces
from minirt.kernel.namespaces import Netns

_ECHO = {4: 8, 6: 128}  # ICMP types: RFC 792, RFC 4443
_REPLY = {4: 0, 6: 129}
_ICMP = {4: socket.IPPROTO_ICMP, 6: socket.IPPROTO_ICMPV6}


@dataclass(slots=True)
class Probe:
    """A socket that is about to send one packet. ``number``: source port, or an echo's id."""

    socket: socket.socket
    protocol: str
    target: Address
    port: int
    number: int

    def send(self) -> str:
        """Send it; return what is known of its fate at once, or nothing."""
        where = (str(self.target), self.port)
        try:
            if self.protocol == "icmp":
                self.socket.sendto(self._echo(), (str(self.target), 0))
            else:
                self.socket.connect(where)
                if self.protocol == "tcp":
                    return "connected"
                self.socket.send(b"minirt network path --trace\n")
        except BlockingIOError:
            pass  # the usual case of TCP: wait until it is writable
        except OSError as error:
            return os.strerror(error.errno or errno.EIO).lower()
        return ""

    def fate(self) -> str:
        """Return what has become of it, if that is known by now."""
        if self.protocol == "tcp":
            _, ready, _ = select.select([], [self.socket], [], 0)
            if not ready:
                return ""
            code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            return os.strerror(code).lower() if code else "connected"
        try:
            reply = self.socket.recv(1 << 16)
        except BlockingIOError:
            return ""
        except OSError as error:
            return os.strerror(error.errno or errno.EIO).lower()
        return "answered" if self.protocol == "udp" or self._is_ours(reply) else ""

    def _echo(self) -> bytes:
        header = struct.pack("!BBHHH", _ECHO[self.target.version], 0, 0, self.number, 1)
        if self.target.version == 6:
            return header  # The kernel fills in the checksum (RFC 3542, section 3.1).
        return header[:2] + struct.pack("!H", _checksum(header)) + header[4:]

    def _is_ours(self, reply: bytes) -> bool:
        version = self.target.version
        body = reply[(reply[0] & 0xF) * 4 :] if version == 4 else reply
        return (
            len(body) >= 8
            and body[0] == _REPLY[version]
            and body[4:6] == struct.pack("!H", self.number)
        )


def prepare(netns: Netns | None, protocol: str, target: Address, port: int) -> Probe:
    """Make the socket, in a namespace or here; its port is known before anything is sent."""
    family = socket.AF_INET if target.version == 4 else socket.AF_INET6
    kinds = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM, "icmp": socket.SOCK_RAW}
    kind = kinds[protocol] | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    with nullcontext() if netns is None else namespaces.inside(netns):
        made = socket.socket(family, kind, _ICMP[target.version] if protocol == "icmp" else 0)
    if protocol == "icmp":
        return Probe(made, protocol, target, 0, int.from_bytes(os.urandom(2), "big"))
    made.bind(("", 0))
    return Probe(made, protocol, target, port, made.getsockname()[1])


def wait(probe: Probe, seconds: float) -> str:
    """Return what becomes of the packet; "no answer" after ``seconds``."""
    deadline = time.monotonic() + seconds
    fate = probe.send()
    while not fate and time.monotonic() < deadline:
        time.sleep(0.01)
        fate = probe.fate()
    return fate or "no answer"


def _checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF
