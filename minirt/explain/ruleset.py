"""The packet filter as it stands in the kernel, in shapes that one can look things up in.

nft(8) tells it twice: libnftables-json(5) says what a rule means, the plain listing how a
person would type it. Both are joined here by the rules' handles.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from minirt.kernel import nftables
from minirt.kernel.limited_child import output_of
from minirt.kernel.namespaces import Netns

_TABLE = re.compile(r"^table (\w+) (\S+) \{")
_RULE = re.compile(r"^\s+(.*\S) # handle (\d+)$")
LARGEST = 512 << 10  # bytes of the rules of a container, in both forms together
_MEMORY = 12 << 20  # bytes that libnftables may need for these
_PATIENCE = 5.0  # seconds
_COUNTER = re.compile(r" ?\bcounter packets \d+ bytes \d+")

Key = tuple[str, str]  # a table: its family and its name


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: what it means, and how it is typed."""

    table: Key
    chain: str
    handle: int
    expressions: tuple[dict[str, Any], ...]
    text: str = ""

    @property
    def place(self) -> str:
        """Where it stands, for a reader."""
        family, table = self.table
        return f"{family} {table} {self.chain}"


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain; one with a ``hook`` is called by the kernel, in the order of priorities."""

    table: Key
    name: str
    kind: str = ""  # "filter", "nat", "route"
    hook: str = ""
    priority: int = 0
    policy: str = "accept"
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class Set:
    """A set, or a map: then each element is a pair of key and value."""

    table: Key
    name: str
    is_map: bool
    elements: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Ruleset:
    """All tables of one network namespace."""

    chains: dict[tuple[str, str, str], Chain] = field(default_factory=dict)
    sets: dict[tuple[str, str, str], Set] = field(default_factory=dict)
    tables: tuple[Key, ...] = ()

    def at_hook(self, families: Iterable[str], hook: str) -> list[Chain]:
        """Return the chains that a packet meets at a hook, in their order."""
        found = [one for one in self.chains.values() if one.hook == hook]
        found = [one for one in found if one.table[0] in families]
        return sorted(found, key=lambda one: one.priority)

    def rule(self, table: Key, chain: str, handle: int) -> Rule | None:
        """Look a rule up."""
        known = self.chains.get((*table, chain))
        return next((one for one in known.rules if one.handle == handle), None) if known else None


def look(netns: Netns | None = None) -> Ruleset:
    """Read the rules of this network namespace, or of another one.

    Raises OSError: EFBIG where another one has more than :data:`LARGEST` bytes of them.
    """
    if netns is None:
        return parse(*nftables.look())

    def work() -> bytes:
        return "\0".join(nftables.look(netns)).encode()

    found = output_of(work, memory=_MEMORY, limit=LARGEST, seconds=_PATIENCE).decode()
    document, _, listing = found.partition("\0")
    return parse(document, listing)


def parse(document: str, listing: str) -> Ruleset:
    """Read what ``nft -j list ruleset`` and ``nft -a list ruleset`` have printed."""
    items = [next(iter(one.items())) for one in json.loads(document or "{}").get("nftables", ())]
    texts = dict(_texts(listing))
    rules: dict[tuple[str, str, str], list[Rule]] = {}
    for what, one in items:
        if what == "rule":
            table = (one["family"], one["table"])
            text = texts.get((*table, one["handle"]), "")
            made = Rule(table, one["chain"], one["handle"], tuple(one.get("expr", ())), text)
            rules.setdefault((*table, one["chain"]), []).append(made)
    chains, sets, tables = {}, {}, []
    for what, one in items:
        if what == "table":
            tables.append((one["family"], one["name"]))
        elif what == "chain":
            key = (one["family"], one["table"], one["name"])
            chains[key] = _chain(one, tuple(rules.get(key, ())))
        elif what in ("set", "map"):
            key = (one["family"], one["table"], one["name"])
            sets[key] = Set(key[:2], key[2], "map" in one, tuple(one.get("elem", ())))
    return Ruleset(chains, sets, tuple(tables))


def _chain(one: dict[str, Any], rules: tuple[Rule, ...]) -> Chain:
    return Chain(
        (one["family"], one["table"]),
        one["name"],
        one.get("type", ""),
        one.get("hook", ""),
        int(one.get("prio", 0)),
        one.get("policy", "accept"),
        rules,
    )


def _texts(listing: str) -> Iterator[tuple[tuple[str, str, int], str]]:
    """Yield the rules of a listing, by table and handle; sets are no rules but do no harm."""
    table = ("", "")
    for line in listing.splitlines():
        if head := _TABLE.match(line):
            table = (head[1], head[2])
        elif (rule := _RULE.match(line)) and not rule[1].endswith("{"):
            yield (*table, int(rule[2])), _COUNTER.sub("", rule[1]).strip()
