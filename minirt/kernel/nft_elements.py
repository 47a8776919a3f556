"""One element of a set of the packet filter, asked for by name: nftables' netlink (nfnetlink).

libnftables knows no such question: to answer "get element", and even to list a small set, it first
reads all sets of the table, half a millisecond each time. The kernel's own answer takes 10 µs.

    struct nlmsghdr | struct nfgenmsg | TABLE, SET, ELEMENTS { ELEM { KEY { VALUE } } }
"""

from __future__ import annotations

import errno
import socket
import struct

# include/uapi/linux/netlink.h, netfilter/nfnetlink.h, netfilter/nf_tables.h, netfilter.h
_NETFILTER, _REQUEST, _ACK, _ERROR = 12, 0x1, 0x4, 2
_GET_ELEMENT = 10 << 8 | 13  # NFNL_SUBSYS_NFTABLES, NFT_MSG_GETSETELEM
_TABLE, _SET, _ELEMENTS = 1, 2, 3  # NFTA_SET_ELEM_LIST_*
_ELEMENT, _KEY, _VALUE = 1, 1, 1  # NFTA_LIST_ELEM, NFTA_SET_ELEM_KEY, NFTA_DATA_VALUE
_NESTED = 0x8000
_FAMILIES = {"inet": 1, "ip": 2, "bridge": 7}
_HEADER = struct.Struct("=IHHII")
_CODE = struct.Struct("=i")  # what struct nlmsgerr begins with: 0, or an errno below it
_LONGEST = 65536  # bytes of an answer
_ATTRIBUTE = struct.Struct("=HH")
_IFNAMSIZ = 16
_ABSENT = {errno.ENOENT, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT}


def name_key(name: str) -> bytes:
    """Return the key of an interface's name, type ifname of nft(8)."""
    return name.encode().ljust(_IFNAMSIZ, b"\0")


def mark_key(number: int) -> bytes:
    """Return the key of a number of 32 bits, type mark of nft(8)."""
    return struct.pack("=I", number)


def has(table: str, name: str, key: bytes) -> bool:
    """Say whether a set of ``table``, like "inet minirt", is there and has that element.

    For sets without intervals. Raises OSError: EPERM without CAP_NET_ADMIN.
    """
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    with socket.socket(socket.AF_NETLINK, kind, _NETFILTER) as line:
        line.bind((0, 0))
        line.send(_question(table, name, key))
        while _HEADER.unpack_from(answer := line.recv(_LONGEST))[1] != _ERROR:
            pass  # the element itself
    code = -int(_CODE.unpack_from(answer, _HEADER.size)[0])
    if code and code not in _ABSENT:
        raise OSError(code, "the packet filter can't be asked")
    return not code


def _question(table: str, name: str, key: bytes) -> bytes:
    family, _, table = table.partition(" ")
    element = _attribute(_ELEMENT | _NESTED, _attribute(_KEY | _NESTED, _attribute(_VALUE, key)))
    body = struct.pack("=BBH", _FAMILIES[family], 0, 0)
    body += _attribute(_TABLE, table.encode() + b"\0") + _attribute(_SET, name.encode() + b"\0")
    body += _attribute(_ELEMENTS | _NESTED, element)
    return _HEADER.pack(_HEADER.size + len(body), _GET_ELEMENT, _REQUEST | _ACK, 1, 0) + body


def _attribute(kind: int, value: bytes) -> bytes:
    """Return struct nlattr with its value, filled up to 4 bytes."""
    size = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(size, kind) + value + bytes(-size % 4)
