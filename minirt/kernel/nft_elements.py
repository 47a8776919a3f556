"""Elements of the packet filter's sets and maps: asked for, and added, without libnftables.

    struct nfgenmsg | TABLE, SET, ELEMENTS { ELEM { KEY { VALUE }, DATA { … }, USERDATA } }
    the DATA of a map:              DATA { VALUE }
    the DATA of a map of verdicts:  DATA { VERDICT { CODE, CHAIN } }

libnftables knows no question for one element: to answer "get element", and even to list a small
set, it first reads all sets of the table, half a millisecond each time. The kernel's own answer
takes 10 µs.

The key is that of a set without intervals: its fields one after another, each filled up to 4
bytes unless it is the only one, and so is a value. A comment is for nft(8) only: the kernel keeps
it as bytes, which libnftnl arranges (include/libnftnl/udata.h): a type, a length, a value.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from minirt.kernel import nft_messages
from minirt.kernel.nft_messages import CREATE, EXCLUSIVE, Change, Part, nest, number, raw, text
from minirt.kernel.nlmsg import attribute

_NEW, _GET, _DELETE = 12, 13, 14  # NFT_MSG_NEWSETELEM, NFT_MSG_GETSETELEM, NFT_MSG_DELSETELEM
_SET, _ELEMENTS = 2, 3  # NFTA_SET_ELEM_LIST_*
_ELEMENT, _KEY, _DATA, _USERDATA = 1, 1, 2, 6  # NFTA_LIST_ELEM, NFTA_SET_ELEM_*
_VERDICT, _CODE, _CHAIN = 2, 1, 2  # NFTA_DATA_VERDICT, NFTA_VERDICT_*
_VERDICTS = {"jump": -3, "goto": -4}  # NFT_JUMP, NFT_GOTO
_COMMENT = 0  # NFTNL_UDATA_SET_ELEM_COMMENT
_PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}  # IPPROTO_*
_IFNAMSIZ = 16


@dataclass(frozen=True, slots=True)
class Element:
    """One element; in a map with its value, in one of verdicts with that, like "jump strict"."""

    table: str  # with its family: "inet minirt"
    set: str
    key: tuple[Part, ...]
    verdict: str = ""
    comment: str = ""
    value: tuple[Part, ...] = ()

    @property
    def words(self) -> str:
        """Return how nft(8) is told of it, behind "add element" and the like."""
        comment = f' comment "{self.comment}"' if self.comment else ""
        target = self.verdict or _words(self.value)
        return (
            f"{self.table} {self.set} {{ {_words(self.key)}{comment}{target and f' : {target}'} }}"
        )

    @property
    def body(self) -> bytes:
        """Return the message about it."""
        parts = [raw(_KEY, _bytes(self.key))]
        if self.verdict:
            parts.append(nest(_DATA, _verdict(self.verdict)))
        if self.value:
            parts.append(raw(_DATA, _bytes(self.value)))
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


def delete(element: Element) -> Change:
    """Return the change that removes the element with that key, else FileNotFoundError."""
    key = Element(element.table, element.set, element.key)
    return Change(f"delete element {key.words}", _DELETE, key.body)


def name_key(of: str) -> Part:
    """Return an interface's name, type ifname of nft(8)."""
    return Part(of, of.encode().ljust(_IFNAMSIZ, b"\0"))


def mark_key(value: int) -> Part:
    """Return a number of 32 bits, type mark of nft(8)."""
    return Part(f"{value:#010x}", struct.pack("=I", value))


def mac_key(address: str) -> Part:
    """Return a MAC address, type ether_addr of nft(8)."""
    return Part(address, bytes.fromhex(address.replace(":", "")))


def raw_key(data: bytes) -> Part:
    """Return a field of a packet that a set names by its place: typeof @nh,64,128 of nft(8)."""
    return Part(f"0x{data.hex()}", data)


def ip_key(address: IPv4Address | IPv6Address) -> Part:
    """Return an address, type ipv4_addr or ipv6_addr of nft(8)."""
    return Part(str(address), address.packed)


def protocol_key(name: str) -> Part:
    """Return a protocol above IP, type inet_proto of nft(8)."""
    return Part(name, bytes([_PROTOCOLS[name]]))


def port_key(number: int) -> Part:
    """Return a port, type inet_service of nft(8)."""
    return Part(str(number), number.to_bytes(2, "big"))


def _words(fields: tuple[Part, ...]) -> str:
    return " . ".join(field.words for field in fields)


def _bytes(fields: tuple[Part, ...]) -> bytes:
    if len(fields) == 1:
        return fields[0].data
    return b"".join(field.data + bytes(-len(field.data) % 4) for field in fields)


def _verdict(words: str) -> bytes:
    code, _, chain = words.partition(" ")
    return nest(_VERDICT, number(_CODE, _VERDICTS[code]), text(_CHAIN, chain))
