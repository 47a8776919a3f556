"""The messages of rtnetlink(7): a structure of fixed size, then attributes.

An attribute is its length, its type and its value, padded to four bytes; the value may be
attributes again. Numbers are in the machine's own order. Only what minirt says or hears is
written down here, under the names of the kernel's headers (include/uapi/linux/if_link.h,
if_addr.h, rtnetlink.h): what else there is in an answer is passed over.

pyroute2 knows all messages there are, for a price: its first link message takes 0.6 ms to write
and 24 to import. Tests hold what is written here against it.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_HEAD = struct.Struct("=HH")  # struct rtattr: length, type
_TYPE = 0x3FFF  # without the flags NLA_F_NESTED and NLA_F_NET_BYTEORDER

Values = Mapping[str, Any]  # attributes by name; those that hold attributes are such mappings


@dataclass(frozen=True, slots=True)
class Kind:
    """How a value is written, and how it is read."""

    write: Callable[[Any], bytes]
    read: Callable[[bytes], Any]


@dataclass(frozen=True, slots=True)
class Form:
    """A structure and the attributes that follow: name -> type, kind."""

    shape: struct.Struct
    fields: tuple[str, ...]
    attributes: dict[str, tuple[int, Kind]]

    def write(self, values: Values) -> bytes:
        """Return the bytes; a field that isn't named is 0."""
        body = self.shape.pack(*(values.get(name, 0) for name in self.fields))
        padded = body.ljust(len(body) + 3 & ~3, b"\0")
        return padded + b"".join(self._pieces(values))

    def _pieces(self, values: Values) -> Iterator[bytes]:
        for name, value in values.items():
            if name in self.fields:
                continue
            number, kind = self.attributes[name]
            data = kind.write(value)
            yield _HEAD.pack(_HEAD.size + len(data), number)
            yield data.ljust(len(data) + 3 & ~3, b"\0")

    def read(self, data: bytes) -> Answer:
        """Return what stands in the bytes."""
        fields = dict(zip(self.fields, self.shape.unpack_from(data), strict=True))
        return Answer(self, fields, _split(data, self.shape.size + 3 & ~3))


@dataclass(frozen=True, slots=True)
class Answer:
    """A message that came, or the attributes in an attribute. A value is read when asked for."""

    form: Form
    fields: dict[str, int] = field(default_factory=dict)
    raw: dict[int, bytes] = field(default_factory=dict)

    def __getitem__(self, name: str) -> int:
        """Return a field of the structure."""
        return self.fields[name]

    def get(self, name: str, otherwise: Any = None) -> Any:
        """Return the value of an attribute, ``otherwise`` if it isn't there."""
        number, kind = self.form.attributes[name]
        return kind.read(self.raw[number]) if number in self.raw else otherwise


def _split(data: bytes, offset: int) -> dict[int, bytes]:
    found = {}
    while offset + _HEAD.size <= len(data):
        length, number = _HEAD.unpack_from(data, offset)
        if length < _HEAD.size:
            break
        found[number & _TYPE] = data[offset + _HEAD.size : offset + length]
        offset += length + 3 & ~3
    return found


def _number(form: str) -> Kind:
    shape = struct.Struct(form)
    return Kind(shape.pack, lambda data: shape.unpack_from(data)[0])


def _address(data: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET if len(data) == 4 else socket.AF_INET6, data)


def _packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def _nest(attributes: dict[str, tuple[int, Kind]]) -> Kind:
    form = Form(struct.Struct(""), (), attributes)
    return Kind(form.write, form.read)


U8, U32 = _number("=B"), _number("=I")
TEXT = Kind(lambda text: text.encode() + b"\0", lambda data: data.rstrip(b"\0").decode())
MAC = Kind(lambda text: bytes.fromhex(text.replace(":", "")), lambda data: data.hex(":"))
IP = Kind(_packed, _address)

LINK = Form(  # struct ifinfomsg
    struct.Struct("=BxHiII"),
    ("family", "type", "index", "flags", "change"),
    {
        "IFLA_ADDRESS": (1, MAC),
        "IFLA_IFNAME": (3, TEXT),
        "IFLA_MTU": (4, U32),
        "IFLA_LINK": (5, U32),
        "IFLA_MASTER": (10, U32),
        "IFLA_NET_NS_FD": (28, U32),
        "IFLA_EXT_MASK": (29, U32),
    },
)
_KINDS = {  # what is special to a kind of link: the numbers begin anew with each
    "VETH_INFO_PEER": (1, Kind(LINK.write, LINK.read)),  # a whole message about the other end
    "IFLA_MACVLAN_MODE": (1, U32),
}
_PORT = {"IFLA_BRPORT_MODE": (4, U8), "IFLA_BRPORT_ISOLATED": (33, U8)}  # of a bridge's port
_INET6 = {"IFLA_INET6_ADDR_GEN_MODE": (8, U8)}
LINK.attributes["IFLA_AF_SPEC"] = 26, _nest({"AF_INET6": (int(socket.AF_INET6), _nest(_INET6))})
LINK.attributes["IFLA_LINKINFO"] = (
    18,
    _nest(
        {
            "IFLA_INFO_KIND": (1, TEXT),
            "IFLA_INFO_DATA": (2, _nest(_KINDS)),
            "IFLA_INFO_SLAVE_KIND": (4, TEXT),
            "IFLA_INFO_SLAVE_DATA": (5, _nest(_PORT)),
        }
    ),
)
ADDRESS = Form(  # struct ifaddrmsg
    struct.Struct("=BBBBI"),
    ("family", "prefixlen", "flags", "scope", "index"),
    {"IFA_ADDRESS": (1, IP), "IFA_LOCAL": (2, IP)},
)
ROUTE = Form(  # struct rtmsg
    struct.Struct("=BBBBBBBBI"),
    ("family", "dst_len", "src_len", "tos", "table", "proto", "scope", "type", "flags"),
    {
        "RTA_DST": (1, IP),
        "RTA_SRC": (2, IP),
        "RTA_IIF": (3, U32),
        "RTA_OIF": (4, U32),
        "RTA_GATEWAY": (5, IP),
        "RTA_PREFSRC": (7, IP),
        "RTA_TABLE": (15, U32),
    },
)


# The types of messages: RTM_* of rtnetlink(7).
NEWLINK, DELLINK, GETLINK = 16, 17, 18
NEWADDR, DELADDR, GETADDR = 20, 21, 22
NEWROUTE, DELROUTE, GETROUTE = 24, 25, 26


def form_of(kind: int) -> Form:
    """Return the form of a type of messages: they come in groups of four."""
    return (LINK, ADDRESS, ROUTE)[(kind - NEWLINK) // 4]
