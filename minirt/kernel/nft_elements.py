"""Elements of the packet filter's sets and maps: asked for, and added, without libnftables.

    struct nfgenmsg | TABLE, SET, ELEMENTS { ELEM { KEY { VALUE }, DATA { … }, USERDATA } }
    the DATA of a map of verdicts:  DATA { VERDICT { CODE, CHAIN } }

libnftables knows no question for one element: to answer "get element", and even to list a small
set, it first reads all sets of the table, half a millisecond each time. The kernel's own answer
takes 10 µs.

The key is that of a set without intervals: its fields one after another, each filled up to 4
bytes. A comment is for nft(8) only: the kernel keeps it as bytes, which libnftnl arranges
(include/libnftnl/udata.h): a type, a length, a value.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from minirt.kernel import nft_messages
from minirt.kernel.nft_messages import CREATE, EXCLUSIVE, Change, Part, nest, number, text
from minirt.kernel.nlmsg import attribute

_NEW, _GET = 12, 13  # NFT_MSG_NEWSETELEM, NFT_MSG_GETSETELEM
_SET, _ELEMENTS = 2, 3  # NFTA_SET_ELEM_LIST_*
_ELEMENT, _KEY, _DATA, _USERDATA = 1, 1, 2, 6  # NFTA_LIST_ELEM, NFTA_SET_ELEM_*
_VALUE, _VERDICT, _CODE, _CHAIN = 1, 2, 1, 2  # NFTA_DATA_*, NFTA_VERDICT_*
_VERDICTS = {"jump": -3, "goto": -4}  # NFT_JUMP, NFT_GOTO
_COMMENT = 0  # NFTNL_UDATA_SET_ELEM_COMMENT
_IFNAMSIZ = 16


@dataclass(frozen=True, slots=True)
class Element:
    """One element; in a map of verdicts with its verdict, like "jump strict"."""

    table: str  # with its family: "inet minirt"
    set: str
    key: tuple[Part, ...]
    verdict: str = ""
    comment: str = ""

    @property
    def words(self) -> str:
        """Return how nft(8) is told of it, behind "add element" and the like."""
        comment = f' comment "{self.comment}"' if self.comment else ""
        verdict = f" : {self.verdict}" if self.verdict else ""
        key = " . ".join(field.words for field in self.key)
        return f"{self.table} {self.set} {{ {key}{comment}{verdict} }}"

    @property
    def body(self) -> bytes:
        """Return the message about it."""
        key = b"".join(field.data + bytes(-len(field.data) % 4) for field in self.key)
        parts = [nest(_KEY, attribute(_VALUE, key))]
        if self.verdict:
            parts.append(nest(_DATA, _verdict(self.verdict)))
        if self.comment:
            comment = self.comment.encode() + b"\0"
            parts.append(attribute(_USERDATA, bytes([_COMMENT, len(comment)]) + comment))
        elements = nest(_ELEMENTS, nest(_ELEMENT, *parts))
        return nft_messages.body(self.table, text(_SET, self.set), elements)


def has(element: Element) -> bool:
    """Say whether a set is there and has the element with that key.

    Raises OSError: EPERM without CAP_NET_ADMIN.
    """
    return nft_messages.is_there(_GET, element.body)


def add(element: Element) -> Change:
    """Return the change that adds an element, unless it is there.

    One that leads elsewhere is in the way: FileExistsError.
    """
    return Change(f"add element {element.words}", _NEW, element.body, CREATE)


def create(element: Element) -> Change:
    """Return the change that adds an element that isn't there, else FileExistsError."""
    return Change(f"create element {element.words}", _NEW, element.body, CREATE | EXCLUSIVE)


def name_key(of: str) -> Part:
    """Return an interface's name, type ifname of nft(8)."""
    return Part(of, of.encode().ljust(_IFNAMSIZ, b"\0"))


def mark_key(value: int) -> Part:
    """Return a number of 32 bits, type mark of nft(8)."""
    return Part(f"{value:#010x}", struct.pack("=I", value))


def mac_key(address: str) -> Part:
    """Return a MAC address, type ether_addr of nft(8)."""
    return Part(address, bytes.fromhex(address.replace(":", "")))


def ip_key(address: IPv4Address | IPv6Address) -> Part:
    """Return an address, type ipv4_addr or ipv6_addr of nft(8)."""
    return Part(str(address), address.packed)


def _verdict(words: str) -> bytes:
    code, _, chain = words.partition(" ")
    return nest(_VERDICT, number(_CODE, _VERDICTS[code]), text(_CHAIN, chain))
