"""Connections that the packet filter remembers (nf_conntrack; conntrack(8)).

A UDP "connection" is remembered for as long as somebody sends. Its first packet has decided
where all others go: a client that began before a port led somewhere, or while it led
elsewhere, would go on missing it for ever. So who changes the way has these forgotten.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import islice

from minirt.kernel import nlmsg, sysctl
from minirt.kernel.nlmsg import NESTED, attribute, attributes
from minirt.kernel.steps import step

# include/uapi/linux/netlink.h, netfilter/nfnetlink.h and nfnetlink_conntrack.h
_NETFILTER = 12  # NETLINK_NETFILTER
_CONNTRACK = 1 << 8  # NFNL_SUBSYS_CTNETLINK, in the upper byte of a message's type
_GET, _DELETE = _CONNTRACK | 1, _CONNTRACK | 2
_TUPLE, _PROTO, _FILTER, _ORIGINAL_FLAGS = 1, 2, 25, 1  # CTA_TUPLE_ORIG, CTA_TUPLE_PROTO, …
_NUMBER, _TO_PORT = 1, 3  # CTA_PROTO_NUM, CTA_PROTO_DST_PORT
_BY_PROTOCOL, _BY_TO_PORT = 1 << 3, 1 << 5  # the bits of CTA_FILTER_ORIG_FLAGS

_ABSENT = (errno.EOPNOTSUPP, errno.EPROTONOSUPPORT, errno.EINVAL)  # without conntrack
_COUNT = "net/netfilter/nf_conntrack_count"  # of this network namespace

_AT_ONCE = 1000  # flows that are forgotten before the next ones are read
_FAMILY = struct.Struct("=BBH")  # struct nfgenmsg
_REPLY, _IP = 2, 1  # CTA_TUPLE_REPLY, CTA_TUPLE_IP
_SOURCE, _TARGET = {4: 1, 6: 3}, {4: 2, 6: 4}  # CTA_IP_V4_SRC, …: by the version of IP
_FROM_PORT = 2  # CTA_PROTO_SRC_PORT


@dataclass(frozen=True, slots=True)
class Flow:
    """A UDP flow that is remembered: how it was sent, and who answers to it."""

    source: IPv4Address | IPv6Address
    source_port: int
    target: IPv4Address | IPv6Address
    port: int
    receiver: IPv4Address | IPv6Address  # where it is led to
    receiver_port: int


def udp_flows_to(port: int, version: int) -> Iterator[Flow]:
    """Yield the UDP flows to a port, whoever's they are; none without conntrack.

    There may be some hundred thousand: a caller keeps only those that it needs.
    """
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    try:
        with _channel() as channel:
            for _, entry in _entries(channel, family, {port}):
                yield _flow(attributes(entry), version)
    except OSError as error:
        if error.errno not in _ABSENT:
            raise


def _flow(entry: dict[int, bytes], version: int) -> Flow:
    sent, answer = attributes(entry[_TUPLE]), attributes(entry[_REPLY])
    ends, back = attributes(sent[_IP]), attributes(answer[_IP])
    ports, ports_back = attributes(sent[_PROTO]), attributes(answer[_PROTO])
    return Flow(
        ip_address(ends[_SOURCE[version]]),
        int.from_bytes(ports[_FROM_PORT], "big"),
        ip_address(ends[_TARGET[version]]),
        int.from_bytes(ports[_TO_PORT], "big"),
        ip_address(back[_SOURCE[version]]),
        int.from_bytes(ports_back[_FROM_PORT], "big"),
    )


def forget_udp(ports: Collection[int], family: int = socket.AF_INET) -> None:
    """Forget all UDP flows to these ports, whoever's they were; without conntrack there are none.

    The kernel walks through its whole table, for some milliseconds: once, and if there are any.
    """
    if not ports or sysctl.read(_COUNT) == "0":
        return
    try:
        with _channel() as asked, _channel() as told:
            entries = _entries(asked, family, ports)
            while found := list(islice(entries, _AT_ONCE)):
                flows = [(port, attributes(entry)[_TUPLE]) for port, entry in found]
                for port in sorted({port for port, _ in flows}):
                    words = ["conntrack", "-D", "-p", "udp", "--dport", port]
                    with step("forget old flows to the port", *words):
                        for flow in (flow for to, flow in flows if to == port):
                            _forget(told, family, flow)
    except OSError as error:
        if error.errno not in _ABSENT:
            raise


def _channel() -> socket.socket:
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    channel = socket.socket(socket.AF_NETLINK, kind, _NETFILTER)
    channel.bind((0, 0))
    return channel


def _entries(
    channel: socket.socket, family: int, ports: Collection[int]
) -> Iterator[tuple[int, bytes]]:
    """Yield the port and all attributes of each flow. Kernels before 5.8 don't choose: we do."""
    proto, flags = attribute(_NUMBER, bytes([socket.IPPROTO_UDP])), _BY_PROTOCOL
    if len(ports) == 1:
        proto += attribute(_TO_PORT, struct.pack("!H", *ports))
        flags |= _BY_TO_PORT
    wanted = attribute(_TUPLE | NESTED, attribute(_PROTO | NESTED, proto))
    chosen = attribute(_ORIGINAL_FLAGS, struct.pack("=I", flags))
    _send(channel, _GET, nlmsg.DUMP, family, wanted + attribute(_FILTER | NESTED, chosen))
    for message in nlmsg.answers(channel):
        flow = attributes(message[_FAMILY.size :]).get(_TUPLE, b"")
        there = attributes(attributes(flow).get(_PROTO, b""))
        port = int.from_bytes(there.get(_TO_PORT, b""), "big")
        if there.get(_NUMBER) == bytes([socket.IPPROTO_UDP]) and port in ports:
            yield port, message[_FAMILY.size :]


def _forget(channel: socket.socket, family: int, flow: bytes) -> None:
    _send(channel, _DELETE, nlmsg.ACK, family, attribute(_TUPLE | NESTED, flow))
    try:
        nlmsg.settle(channel)
    except OSError as error:
        if error.errno != errno.ENOENT:  # It ended meanwhile.
            raise


def _send(channel: socket.socket, kind: int, flags: int, family: int, payload: bytes) -> None:
    nlmsg.send(channel, kind, flags, _FAMILY.pack(family, 0, 0) + payload)
