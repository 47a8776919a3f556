"""One element of a set of the packet filter, asked for by name: nftables' netlink (nfnetlink).

libnftables knows no such question: to answer "get element", and even to list a small set, it first
reads all sets of the table, half a millisecond each time. The kernel's own answer takes 10 µs.

    struct nlmsghdr | struct nfgenmsg | TABLE, SET, ELEMENTS { ELEM { KEY { VALUE } } }
"""

from __future__ import annotations

import errno
import socket
import struct

from minirt.kernel import nlmsg
from minirt.kernel.nlmsg import NESTED, attribute

# include/uapi/linux/netlink.h, netfilter/nfnetlink.h, netfilter/nf_tables.h, netfilter.h
_NETFILTER = 12  # NETLINK_NETFILTER
_GET_ELEMENT = 10 << 8 | 13  # NFNL_SUBSYS_NFTABLES, NFT_MSG_GETSETELEM
_TABLE, _SET, _ELEMENTS = 1, 2, 3  # NFTA_SET_ELEM_LIST_*
_ELEMENT, _KEY, _VALUE = 1, 1, 1  # NFTA_LIST_ELEM, NFTA_SET_ELEM_KEY, NFTA_DATA_VALUE
_FAMILIES = {"inet": 1, "ip": 2, "bridge": 7}
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
        nlmsg.send(line, _GET_ELEMENT, nlmsg.ACK, _question(table, name, key))
        try:
            nlmsg.settle(line)  # What comes is the element itself.
        except OSError as error:
            if error.errno in _ABSENT:
                return False
            raise OSError(error.errno, "the packet filter can't be asked") from None
    return True


def _question(table: str, name: str, key: bytes) -> bytes:
    family, _, table = table.partition(" ")
    value = attribute(_KEY | NESTED, attribute(_VALUE, key))
    body = struct.pack("=BBH", _FAMILIES[family], 0, 0)
    body += attribute(_TABLE, table.encode() + b"\0") + attribute(_SET, name.encode() + b"\0")
    return body + attribute(_ELEMENTS | NESTED, attribute(_ELEMENT | NESTED, value))
