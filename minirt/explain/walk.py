"""A packet's walk through the packet filter, on paper: which rules act on it, and how.

The kernel calls the base chains of a hook in the order of their priorities. "accept" ends one
of them and the next goes on; "drop" ends everything. Address translation is decided once for
a connection in each direction: after the first chain that did, the others are passed by.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any

from minirt.explain.expressions import Reader, Unreadable
from minirt.explain.packet import Facts, Packet, end
from minirt.explain.ruleset import Chain, Rule, Ruleset

MOST_RULES = 50_000  # that one packet meets at one hook: jumps may multiply them without end
_FINAL = ("accept", "drop", "reject", "return", "queue")
_HARMLESS = ("counter", "log", "limit", "comment", "notrack", "quota", "set", "flow", "ct helper")
# What iptables-nft has put into a rule is opaque, but the listing spells these two out.
_STATES = re.compile(r"\bct state ([\w,]+)")
_LOCAL = re.compile(r"\bfib daddr type (!= )?local\b")


@dataclass(frozen=True, slots=True)
class Crossed:
    """A rule that did something to the packet, or the policy of a chain."""

    place: str  # family, table, chain
    text: str
    verdict: str  # "accept", "drop", "jump", "dnat", …
    change: str = ""  # what was rewritten: old -> new
    handle: int = 0  # 0: the policy


@dataclass(slots=True)
class Walk:
    """The rules of one machine, and what the packet has met so far."""

    rules: Ruleset
    facts: Facts
    crossed: list[Crossed]
    doubts: list[str]
    met: int = 0  # rules

    def hook(self, packet: Packet, hook: str, *, bridged: bool = False) -> Packet | None:
        """Go through all chains of a hook; None: the packet was dropped by the last rule met."""
        families = ("bridge",) if bridged else ("inet", "ip" if packet.version == 4 else "ip6")
        for chain in self.rules.at_hook(families, hook):
            if chain.kind == "nat" and (packet.state != "new" or _is_decided(packet, hook)):
                continue
            run = _Run(self, packet)
            verdict = run.chain(chain)
            packet = run.packet
            if verdict == "policy":
                verdict = chain.policy
                if verdict == "drop":
                    place = f"{chain.table[0]} {chain.table[1]} {chain.name}"
                    self.crossed.append(Crossed(place, "policy drop", "drop"))
            if verdict in ("drop", "reject"):
                return None
        return packet


class _Run:
    """One base chain."""

    def __init__(self, walk: Walk, packet: Packet) -> None:
        self.walk, self.packet = walk, packet

    def chain(self, chain: Chain | None) -> str:
        """Return "accept", "drop", "reject", or "policy" where no rule has decided."""
        for rule in chain.rules if chain else ():
            self.walk.met += 1
            if self.walk.met > MOST_RULES:
                self.walk.doubts.append(f"{rule.place}: more than {MOST_RULES} rules in a row")
                return "accept"
            try:
                verdict, target = self._read(rule)
            except Unreadable as what:
                if any(map(_decides, rule.expressions)):
                    self.walk.doubts.append(f"{rule.place}: {rule.text} (unread: {what})")
                continue
            if verdict in ("jump", "goto"):
                inner = self.chain(self.walk.rules.chains.get((*rule.table, target)))
                if inner != "policy" or verdict == "goto":
                    return inner
            elif verdict == "return":
                return "policy"
            elif verdict in _FINAL:
                return "accept" if verdict == "queue" else verdict
        return "policy"

    def _read(self, rule: Rule) -> tuple[str, str]:
        """Do what :meth:`_rule` does. A container types rules of forms that nobody expects."""
        try:
            return self._rule(rule)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise Unreadable("an unknown form") from error

    def _rule(self, rule: Rule) -> tuple[str, str]:
        """Return what a rule decides, and for a jump where to; "" if nothing."""
        reader = Reader(self.walk.rules, rule, self.packet, self.walk.facts)
        for expression in rule.expressions:
            what, inner = next(iter(expression.items()))
            if what == "match":
                if not reader.matches(inner):
                    return "", ""
            elif what == "xt":
                if not self._foreign(rule, inner):
                    return "", ""
            elif what == "vmap":
                found = reader.look_up(inner)
                if found is None:
                    return "", ""
                return self._decide(rule, *next(iter(found.items())))
            elif what in _DECIDING:
                if what in _REWRITING:
                    return self._rewrite(rule, what, inner or {}, reader)
                return self._decide(rule, what, inner)
            elif what == "mangle" and inner.get("key") == {"meta": {"key": "mark"}}:
                self.packet = replace(self.packet, mark=int(inner["value"]))
            elif what not in (*_HARMLESS, "mangle"):
                raise Unreadable(what)
        return "", ""

    def _decide(self, rule: Rule, verdict: str, inner: Any) -> tuple[str, str]:
        if verdict in (*_FINAL, "jump", "goto"):
            self._note(rule, verdict)
        return verdict, inner["target"] if isinstance(inner, dict) and "target" in inner else ""

    def _rewrite(
        self, rule: Rule, what: str, inner: dict[str, Any], reader: Reader
    ) -> tuple[str, str]:
        """Translate an address; nothing where a map has none for this packet."""
        packet = self.packet
        to_target = what in ("dnat", "redirect")
        old = (packet.target, packet.port) if to_target else (packet.source, packet.source_port)
        address, port = old
        if what == "masquerade":
            address = self.walk.facts.own_address(packet.leaves_by, packet.version) or address
        elif what in ("snat", "dnat"):
            if inner.get("family", f"ip{packet.version}") not in _families(packet):
                return "", ""
            found = reader.value(inner.get("addr"))
            if found is None and "addr" in inner:
                return "", ""
            words = found["concat"] if isinstance(found, dict) else [found]
            address = ip_address(str(words[0])) if words[0] is not None else address
            port = int(words[1]) if len(words) > 1 else port
        port = inner["port"] if isinstance(inner.get("port"), int) else port
        if to_target:
            self.packet = replace(packet, target=address, port=port)
        else:
            self.packet = replace(packet, source=address, source_port=port)
        word = "dnat" if to_target else "snat"
        self.packet = replace(self.packet, status=packet.status | {word})
        self._note(rule, what, f"{end(*old)} becomes {end(address, port)}")
        return "accept", ""

    def _foreign(self, rule: Rule, inner: dict[str, Any]) -> bool:
        """Say whether a match of xtables holds, as far as the listing tells."""
        states, local = _STATES.search(rule.text), _LOCAL.search(rule.text)
        if inner.get("name") in ("conntrack", "state") and states:
            return self.packet.state in states[1].split(",")
        if inner.get("name") == "addrtype" and local:
            is_local = self.walk.facts.kind_of(self.packet.target) == "local"
            return is_local != bool(local[1])
        raise Unreadable(f"xt {inner.get('name')}")

    def _note(self, rule: Rule, verdict: str, change: str = "") -> None:
        self.walk.crossed.append(Crossed(rule.place, rule.text, verdict, change, rule.handle))


_REWRITING = ("dnat", "snat", "masquerade", "redirect")
_DECIDING = (*_FINAL, *_REWRITING, "jump", "goto", "continue", "vmap")


def _decides(expression: dict[str, Any]) -> bool:
    what, inner = next(iter(expression.items()))
    return what in _DECIDING or (what == "xt" and inner.get("type") == "target")


def _families(packet: Packet) -> Iterable[str]:
    return ("ip", "ip4") if packet.version == 4 else ("ip6",)


def _is_decided(packet: Packet, hook: str) -> bool:
    return ("dnat" if hook in ("prerouting", "output") else "snat") in packet.status
