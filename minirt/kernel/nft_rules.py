"""A table of the packet filter with its chains and rules, made without libnftables.

    struct nfgenmsg | TABLE, CHAIN, EXPRESSIONS { ELEM { NAME "cmp", DATA { … } }, ELEM { … }, … }

A rule is a program of expressions for a small machine (net/netfilter/nf_tables_core.c), and all
share its register: "udp dport 53" loads the number of the protocol and compares it, loads two
bytes behind the IP header and compares them. `nft --debug=netlink` shows what nft(8) writes.
"""

from __future__ import annotations

import socket

from minirt.kernel import nft_messages
from minirt.kernel.nft_elements import port_key, protocol_key
from minirt.kernel.nft_messages import (
    APPEND,
    CREATE,
    Change,
    Part,
    body,
    nest,
    number,
    raw,
    text,
)
from minirt.kernel.nlmsg import attributes

_NEW_TABLE, _GET_TABLE, _NEW_CHAIN, _GET_CHAIN = 0, 1, 3, 4  # NFT_MSG_*
_NEW_RULE, _DELETE_RULE = 6, 8  # these, too
_TABLE_FLAGS = 2  # NFTA_TABLE_FLAGS
_CHAIN_NAME, _CHAIN_HOOK, _CHAIN_USE, _CHAIN_TYPE = 3, 4, 6, 7  # NFTA_CHAIN_*
_HOOK_NUMBER, _HOOK_PRIORITY = 1, 2  # NFTA_HOOK_*
_RULE_CHAIN, _RULE_EXPRESSIONS = 2, 4  # NFTA_RULE_*
_HOOKS = {"prerouting": 0, "input": 1, "forward": 2, "output": 3, "postrouting": 4}  # NF_INET_*

_EXPRESSION, _NAME, _DATA = 1, 1, 2  # NFTA_LIST_ELEM, NFTA_EXPR_*
_REGISTER, _REGISTER_2 = 1, 2  # NFT_REG_1, NFT_REG_2: 16 bytes each
_CMP_SOURCE, _CMP_HOW, _CMP_DATA, _EQUAL = 1, 2, 3, 0  # NFTA_CMP_*, NFT_CMP_EQ
_META_TO, _META_KEY, _L4PROTO = 1, 2, 16  # NFTA_META_*, NFT_META_L4PROTO
_IMMEDIATE_TO, _IMMEDIATE_DATA = 1, 2  # NFTA_IMMEDIATE_*
_NAT_TYPE, _NAT_FAMILY, _DNAT, _IPV4 = 1, 2, 1, 2  # NFTA_NAT_*, NFT_NAT_DNAT, NFPROTO_IPV4
_NAT_ADDRESS, _NAT_PORT = 3, 5  # NFTA_NAT_REG_ADDR_MIN, NFTA_NAT_REG_PROTO_MIN
_LOAD_TO, _BASE, _OFFSET, _LENGTH, _WRITE_FROM = 1, 2, 3, 4, 5  # NFTA_PAYLOAD_*
_SUM_TYPE, _SUM_OFFSET, _SUM_FLAGS = 6, 7, 8  # NFTA_PAYLOAD_CSUM_*
_IP_HEADER, _TRANSPORT_HEADER = 1, 2  # NFT_PAYLOAD_NETWORK_HEADER, …

_ADDRESSES = {"saddr": 12, "daddr": 16}  # offsets in the headers
_PORTS = {"sport": 0, "dport": 2}
# What is to be done about the checksum of a header that is written to. TCP's is put right where
# it stands (NFT_PAYLOAD_CSUM_INET). UDP may have none, 0: which the kernel knows if it is left to
# find the checksum itself (NFT_PAYLOAD_L4CSUM_PSEUDOHDR).
_CHECKSUMS = {
    "tcp": number(_SUM_TYPE, 1) + number(_SUM_OFFSET, 16),
    "udp": number(_SUM_FLAGS, 1),
}


def has_table(table: str) -> bool:
    """Say whether there is such a table. Raises OSError: EPERM without CAP_NET_ADMIN."""
    return nft_messages.is_there(_GET_TABLE, body(table))


def has_chain(table: str, name: str) -> bool:
    """Say whether there is such a chain. Raises OSError: EPERM without CAP_NET_ADMIN."""
    return nft_messages.is_there(_GET_CHAIN, body(table, text(_CHAIN_NAME, name)))


def rules_in(table: str, chain: str) -> int | None:
    """Return how many rules a base chain has; None: it is not there.

    The kernel counts what refers to a chain: its rules, and jumps to it, which a base chain has
    none of. To list the rules themselves takes ten times as long.
    """
    answer = nft_messages.look(_GET_CHAIN, body(table, text(_CHAIN_NAME, chain)))
    if answer is None:
        return None
    return int.from_bytes(attributes(answer)[_CHAIN_USE], "big")


def add_table(table: str) -> Change:
    """Return the change that makes a table, like "ip mine", unless it is there."""
    return Change(f"add table {table}", _NEW_TABLE, body(table, number(_TABLE_FLAGS, 0)))


def flush_table(table: str) -> Change:
    """Return the change that removes all rules of a table; chains stay."""
    return Change(f"flush table {table}", _DELETE_RULE, body(table))


def add_chain(table: str, name: str, hook: str, priority: int, *, kind: str = "filter") -> Change:
    """Return the change that makes a chain at a hook unless it exists; its type is ``kind``."""
    how = f"{{ type {kind} hook {hook} priority {priority}; }}"
    where = number(_HOOK_NUMBER, _HOOKS[hook]) + number(_HOOK_PRIORITY, priority)
    parts = text(_CHAIN_NAME, name), text(_CHAIN_TYPE, kind), nest(_CHAIN_HOOK, where)
    return Change(f"add chain {table} {name} {how}", _NEW_CHAIN, body(table, *parts), CREATE)


def add_rule(table: str, chain: str, *parts: Part) -> Change:
    """Return the change that appends a rule to a chain."""
    words = " ".join(one.words for one in parts)
    program = nest(_RULE_EXPRESSIONS, *(one.data for one in parts))
    whole = body(table, text(_RULE_CHAIN, chain), program)
    return Change(f"add rule {table} {chain} {words}", _NEW_RULE, whole, CREATE | APPEND)


NOTRACK = Part("notrack", nest(_EXPRESSION, text(_NAME, "notrack")))  # not for conntrack


def address_is(field: str, address: str) -> Part:
    """Return what a packet must please: its "saddr" or "daddr"."""
    loaded = _load(_IP_HEADER, _ADDRESSES[field], 4)
    return Part(f"ip {field} {address}", loaded + _is(socket.inet_aton(address)))


def port_is(protocol: str, field: str, port: int) -> Part:
    """Return what a packet must please: its protocol, and its "sport" or "dport"."""
    kind = _expression("meta", number(_META_KEY, _L4PROTO), number(_META_TO, _REGISTER))
    kind += _is(protocol_key(protocol).data)
    loaded = _load(_TRANSPORT_HEADER, _PORTS[field], 2)
    return Part(f"{protocol} {field} {port}", kind + loaded + _is(port_key(port).data))


def set_port(protocol: str, field: str, port: int) -> Part:
    """Return what writes another port into a packet, which must be of that protocol."""
    fetched = _immediate(_REGISTER, port_key(port).data)
    place = _place(_TRANSPORT_HEADER, _PORTS[field], 2)
    written = _expression("payload", number(_WRITE_FROM, _REGISTER), place, _CHECKSUMS[protocol])
    return Part(f"{protocol} {field} set {port}", fetched + written)


def dnat_to(address: str, port: int) -> Part:
    """Return the statement that translates the destination of a connection to an IPv4 address."""
    program = _immediate(_REGISTER, socket.inet_aton(address))
    program += _immediate(_REGISTER_2, port_key(port).data)
    kind = number(_NAT_TYPE, _DNAT) + number(_NAT_FAMILY, _IPV4)
    to = number(_NAT_ADDRESS, _REGISTER) + number(_NAT_PORT, _REGISTER_2)
    return Part(f"dnat to {address}:{port}", program + _expression("nat", kind, to))


def _immediate(register: int, data: bytes) -> bytes:
    to = number(_IMMEDIATE_TO, register)
    return _expression("immediate", to, raw(_IMMEDIATE_DATA, data))


def _load(base: int, offset: int, length: int) -> bytes:
    return _expression("payload", number(_LOAD_TO, _REGISTER), _place(base, offset, length))


def _place(base: int, offset: int, length: int) -> bytes:
    return number(_BASE, base) + number(_OFFSET, offset) + number(_LENGTH, length)


def _is(wanted: bytes) -> bytes:
    data = raw(_CMP_DATA, wanted)
    return _expression("cmp", number(_CMP_SOURCE, _REGISTER), number(_CMP_HOW, _EQUAL), data)


def _expression(name: str, *attributes: bytes) -> bytes:
    return nest(_EXPRESSION, text(_NAME, name), nest(_DATA, *attributes))
