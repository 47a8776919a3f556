"""The expressions of rules, worked out for one packet (libnftables-json(5), "EXPRESSIONS")."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from minirt.explain.packet import Facts, Packet
from minirt.explain.ruleset import Rule, Ruleset


class Unreadable(Exception):
    """An expression that isn't understood here: what the rule does to the packet is unknown."""


# A protocol's name and its number are the same (RFC 790); icmp is 58 in IPv6.
_NUMBERS = {"icmp": "1", "tcp": "6", "udp": "17", "icmpv6": "58"}
_WITH_PORTS = {"tcp", "udp"}
_ABSENT = {"arp", "vlan", "8021ad", "igmp"}  # no packet here has one of these protocols
_RAW_SOURCE6 = {"base": "nh", "offset": 64, "len": 128}  # how the listing has some "ip6 saddr"


class Reader:
    """Works expressions out: for one packet, with the sets of one table."""

    def __init__(self, rules: Ruleset, rule: Rule, packet: Packet, facts: Facts) -> None:
        self._rules, self._rule = rules, rule
        self._packet, self._facts = packet, facts

    def matches(self, match: dict[str, Any]) -> bool:
        """Say whether a "match" holds. What the packet doesn't have matches nothing."""
        value = self.value(match["left"])
        if value is None:
            return False
        found = self.contains(match["right"], value)
        operator = match["op"]
        if operator in ("==", "in"):
            return found
        if operator == "!=":
            return not found
        if not isinstance(value, int) or not isinstance(match["right"], int):
            raise Unreadable(operator)
        less, equal = value < match["right"], value == match["right"]
        return {"<": less, "<=": less or equal, ">": not less and not equal, ">=": not less}[
            operator
        ]

    def value(self, expression: Any) -> Any:
        """Return what an expression is for this packet; None: it has no such thing."""
        if not isinstance(expression, dict):
            return expression
        what, inner = next(iter(expression.items()))
        if what == "concat":
            parts = [self.value(one) for one in inner]
            return None if None in parts else tuple(parts)
        if what == "map":
            return self.look_up(inner)
        if what == "exthdr":
            return None  # No packet here has extension headers.
        readers = {"meta": self._meta, "payload": self._payload, "ct": self._ct, "fib": self._fib}
        if what == "socket" and inner.get("key") == "mark":
            return self._facts.socket_mark(self._packet)
        if what == "&":
            return self._masked(*inner)
        if what not in readers:
            raise Unreadable(what)
        return readers[what](inner)

    def look_up(self, map_: dict[str, Any]) -> Any:
        """Return what a map has for the packet; None: nothing."""
        key = self.value(map_["key"])
        if key is None:
            return None
        for pair in self._elements(map_["data"]):
            if self.contains(pair[0], key):
                return pair[1]
        return None

    def contains(self, right: Any, value: Any) -> bool:
        """Say whether a value is what the right side says, or one of those."""
        if isinstance(right, str) and right.startswith("@"):
            return any(self.contains(one, value) for one in self._elements(right))
        if isinstance(right, list):
            return any(self.contains(one, value) for one in right)
        if isinstance(right, dict):
            return self._contains(right, value)
        if isinstance(value, frozenset):
            return str(right) in value
        if isinstance(right, bool):
            return right == bool(value)
        text = str(right)
        if isinstance(right, int) or text.startswith("0x"):
            number = _number(value)
            if number is not None:
                return number == int(text, 0)
        if text.endswith("*") and isinstance(value, str):
            return value.startswith(text[:-1])
        return text in (str(value), _NUMBERS.get(str(value)))

    def _contains(self, right: dict[str, Any], value: Any) -> bool:
        what, inner = next(iter(right.items()))
        if what == "set":
            return any(self.contains(one, value) for one in inner)
        if what == "elem":
            return self.contains(inner["val"], value)
        if what == "concat":
            pairs = zip(inner, value, strict=False)
            return len(inner) == len(value) and all(self.contains(*pair) for pair in pairs)
        if what == "prefix":
            network = ip_network(f"{inner['addr']}/{inner['len']}", strict=False)
            return value in network if value.version == network.version else False
        if what == "range":
            low, high = inner
            if isinstance(low, str) and not isinstance(value, str):
                low, high = ip_address(low), ip_address(high)
            return bool(low <= value <= high)  # MAC addresses have one length and case
        raise Unreadable(what)

    def _elements(self, data: Any) -> Iterable[Any]:
        if isinstance(data, dict):
            return list(data["set"])
        known = self._rules.sets.get((*self._rule.table, data[1:]))
        return known.elements if known else ()

    def _masked(self, expression: Any, mask: Any) -> int:
        value = self.value(expression)
        if not isinstance(value, int) or not isinstance(mask, int):
            raise Unreadable("&")
        return value & mask

    def _meta(self, inner: dict[str, Any]) -> Any:
        packet = self._packet
        known = {
            "iifname": packet.came_by,
            "iif": packet.came_by,
            "oifname": packet.leaves_by,
            "oif": packet.leaves_by,
            "ibrname": packet.bridge,
            "l4proto": self._protocol(),
            "nfproto": f"ipv{packet.version}",
            "protocol": "ip" if packet.version == 4 else "ip6",
            "mark": packet.mark,
            "pkttype": "host",
        }
        if inner["key"] not in known:
            raise Unreadable(f"meta {inner['key']}")
        return known[inner["key"]]

    def _payload(self, inner: dict[str, Any]) -> Any:
        packet = self._packet
        protocol, field = inner.get("protocol", ""), inner.get("field", "")
        if inner == _RAW_SOURCE6:
            protocol, field = "ip6", "saddr"
        version = 4 if protocol == "ip" else 6
        addresses = {"saddr": packet.source, "daddr": packet.target}
        numbers = {"protocol": self._protocol(), "nexthdr": self._protocol()}
        if protocol in ("ip", "ip6") and field in addresses | numbers:
            return (addresses | numbers)[field] if packet.version == version else None
        if protocol == "ether" and field in ("saddr", "daddr"):
            return (packet.mac if field == "saddr" else packet.target_mac) or None
        if protocol == "ether" and field == "type":
            return self._meta({"key": "protocol"})
        if protocol in _ABSENT:
            return None
        if protocol in ("th", *_WITH_PORTS) and field in ("sport", "dport"):
            if packet.protocol not in _WITH_PORTS or protocol not in ("th", packet.protocol):
                return None
            return packet.port if field == "dport" else packet.source_port
        if protocol in ("icmp", "icmpv6") and field == "type":
            return "echo-request" if self._protocol() == protocol else None
        if protocol in _WITH_PORTS and protocol != packet.protocol:
            return None
        raise Unreadable(f"{protocol} {field}")

    def _ct(self, inner: dict[str, Any]) -> Any:
        packet = self._packet
        is_first = packet.state == "new"
        known = {
            "state": frozenset({packet.state}),
            "status": packet.status,
            "direction": "original" if is_first else "reply",
            "mark": 0,
        }
        if inner["key"] not in known:
            raise Unreadable(f"ct {inner['key']}")
        return known[inner["key"]]

    def _fib(self, inner: dict[str, Any]) -> str:
        flags = inner.get("flags", [])
        flags = [flags] if isinstance(flags, str) else flags
        if inner.get("result") != "type" or flags not in (["daddr"], ["saddr"]):
            raise Unreadable("fib")
        packet = self._packet
        return self._facts.kind_of(packet.target if flags == ["daddr"] else packet.source)

    def _protocol(self) -> str:
        is_icmp6 = self._packet.protocol == "icmp" and self._packet.version == 6
        return "icmpv6" if is_icmp6 else self._packet.protocol


def _number(value: Any) -> int | None:
    """Return a field as sets have it that name fields by their place; None: none of them does."""
    if isinstance(value, IPv6Address):
        return int(value)
    if isinstance(value, str) and value.count(":") == 5:  # a MAC address
        return int(value.replace(":", ""), 16)
    return None
