"""Messages to nftables without libnftables: one question, or changes as one transaction.

To answer or to change anything, libnftables first reads tables and sets, and brings its pages
into a process that lives for 30 ms. The messages of what each start needs are few, and small:

    a question       struct nlmsghdr | struct nfgenmsg | attributes
    a transaction    BATCH_BEGIN | change, change, … | BATCH_END     in one datagram

What changes may be in one has a home by its kind: nft_elements.py, nft_rules.py. Each is told
in the words of nft(8), too: who types them gets the same, bit by bit.

Numbers are those of include/uapi/linux/netlink.h, netfilter.h, netfilter/nfnetlink.h and
netfilter/nf_tables.h. A number inside of an attribute is big-endian.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from minirt.kernel import namespaces, nlmsg
from minirt.kernel.namespaces import Netns
from minirt.kernel.nlmsg import NESTED, attribute
from minirt.kernel.steps import step

CREATE, EXCLUSIVE, APPEND = 0x400, 0x200, 0x800  # NLM_F_CREATE, NLM_F_EXCL, NLM_F_APPEND

_NETFILTER = 12  # NETLINK_NETFILTER
_NFTABLES = 10  # NFNL_SUBSYS_NFTABLES, the upper byte of a message's type
_BEGIN, _END = 16, 17  # NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END
_START = struct.Struct("!BBH")  # struct nfgenmsg: family, version, for whom a batch is
_FAMILIES = {"inet": 1, "ip": 2, "bridge": 7, "ip6": 10}  # NFPROTO_*
_TABLE = 1  # NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, NFTA_RULE_TABLE, NFTA_SET_ELEM_LIST_TABLE
_SO_SNDBUFFORCE = 32  # include/uapi/asm-generic/socket.h
_ROOM = 1 << 16  # bytes that a socket takes at once; socket(7): by default it has three times that
_VALUE = 1  # NFTA_DATA_VALUE
_ABSENT = {errno.ENOENT, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT}

_own: tuple[tuple[int, int], socket.socket] | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a change, such as a key or an expression, typed and as the kernel has it."""

    words: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Change:
    """One change: the command of nft(8) that makes it, and its message without a header."""

    words: str
    kind: int  # NFT_MSG_*
    body: bytes
    flags: int = 0


def body(table: str, *attributes: bytes) -> bytes:
    """Write what all messages begin with that are about a table, like "inet minirt"."""
    family, _, name = table.partition(" ")
    return _start(_FAMILIES[family]) + text(_TABLE, name) + b"".join(attributes)


def text(kind: int, value: str) -> bytes:
    """Write an attribute that is a name."""
    return attribute(kind, value.encode() + b"\0")


def number(kind: int, value: int) -> bytes:
    """Write an attribute that is a number of 32 bits; below zero, it is a signed one."""
    return attribute(kind, (value & 0xFFFF_FFFF).to_bytes(4, "big"))


def nest(kind: int, *attributes: bytes) -> bytes:
    """Write an attribute that consists of others."""
    return attribute(kind | NESTED, b"".join(attributes))


def raw(kind: int, data: bytes) -> bytes:
    """Write an attribute that holds bytes as packets have them."""
    return nest(kind, attribute(_VALUE, data))


def is_there(kind: int, question: bytes) -> bool:
    """Ask for one thing: NFT_MSG_GET*. Raises OSError: EPERM without CAP_NET_ADMIN."""
    line = _own_line()
    nlmsg.send(line, _NFTABLES << 8 | kind, nlmsg.ACK, question)
    try:
        nlmsg.settle(line)  # What comes is the thing itself.
    except OSError as error:
        if error.errno in _ABSENT:
            return False
        raise OSError(error.errno, "the packet filter can't be asked") from None
    return True


def look(kind: int, question: bytes) -> bytes | None:
    """Ask for one thing, and return the answer behind struct nfgenmsg; None if it is not there."""
    line = _own_line()
    nlmsg.send(line, _NFTABLES << 8 | kind, nlmsg.ACK, question)
    found = None
    try:
        for message in nlmsg.answers(line):
            found = message[_START.size :]
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise OSError(error.errno, "the packet filter can't be asked") from None
    return found


def run(changes: Sequence[Change], title: str, netns: Netns | None = None) -> None:
    """Make changes as one transaction: all or none.

    Raises FileExistsError, FileNotFoundError or another OSError: for the first that is refused.
    """
    enter = () if netns is None else ("nsenter", f"--net={netns.path}")
    with step(title, *enter, "nft", "; ".join(one.words for one in changes)):
        if netns is None:
            _make(_own_line(), changes)
            return
        with namespaces.inside(netns):
            line = _line()  # It stays in the network namespace of its birth.
        with line:
            _make(line, changes)


def would_run(changes: Sequence[Change], netns: Netns) -> bool:
    """Return whether the kernel permits changes in ``netns``, without making them: ``nft -c``.

    The kernel checks each change as it reads it, and drops them all since no BATCH_END follows.
    Raises an OSError other than PermissionError.
    """
    with namespaces.inside(netns):
        line = _line()
    with line:
        line.send(batch(changes, commit=False))
        try:
            _settle(line, changes)
        except PermissionError:
            return False
    return True


def close() -> None:
    """Close the line of this process, which holds its network namespace."""
    global _own
    if _own is not None:
        (owner, _), line = _own
        if owner == os.getpid():
            line.close()
        else:
            line.detach()  # Its number may be that of another file by now.
    _own = None


def batch(changes: Sequence[Change], *, commit: bool = True) -> bytes:
    """Write changes between the messages that make them one, the last of which commits them.

    Only the last is to be confirmed. What is refused is told in any case, and before: in the order
    of the changes, but first if it is the whole (its number is that of BATCH_BEGIN, 0).
    """
    whole = [nlmsg.request(_BEGIN, 0, _start(0, _NFTABLES), 0)]
    for order, one in enumerate(changes, 1):
        flags = one.flags | (nlmsg.ACK if order == len(changes) else 0)
        whole.append(nlmsg.request(_NFTABLES << 8 | one.kind, flags, one.body, order))
    if commit:
        whole.append(nlmsg.request(_END, 0, _start(0, _NFTABLES), len(whole)))
    return b"".join(whole)


def _make(line: socket.socket, changes: Sequence[Change]) -> None:
    whole = batch(changes)
    if len(whole) > _ROOM:  # five hundred ports
        line.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, 2 * len(whole))
    line.send(whole)
    try:
        _settle(line, changes)
    except OSError:
        with suppress(BlockingIOError):
            while True:  # What is said to the others is not for the next who asks here.
                nlmsg.verdict(line)
        raise


def _settle(line: socket.socket, changes: Sequence[Change]) -> None:
    """Read what the kernel says to a batch."""
    order = None
    while order != len(changes):
        try:
            order, code = nlmsg.verdict(line)
        except BlockingIOError:
            raise OSError(errno.EIO, "the packet filter didn't answer") from None
        if code:
            what = changes[order - 1].words if order else "all changes"
            raise OSError(code, f"{os.strerror(code)}: nft {what}")


def _start(family: int, resource: int = 0) -> bytes:
    return _START.pack(family, 0, resource)


def _own_line() -> socket.socket:
    """Return the line of this process, and of the network namespace that it is in now.

    It stays open: to close one when something was removed, by whomever, waits for the kernel's
    readers, 10-20 ms. One that was inherited by a fork(2) is the parent's.
    """
    global _own
    here = namespaces.here()
    if _own is None or _own[0] != here:
        close()
        _own = here, _line()
    return _own[1]


def _line() -> socket.socket:
    """Open a line at which nobody has to wait.

    The kernel has said all before send(2) returns (net/netfilter/nfnetlink.c, nfnetlink_rcv).
    """
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    line = socket.socket(socket.AF_NETLINK, kind, _NETFILTER)
    line.bind((0, 0))
    return line
