"""Which rules concern a network: those that name it, directly or by an element of a set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from minirt.explain.ruleset import Rule, Ruleset


@dataclass(frozen=True, slots=True)
class Concern:
    """A rule, and the elements by which it concerns the network."""

    place: str  # family, table and chain
    text: str
    elements: tuple[str, ...] = ()  # "@set: element"


def concerning(rules: Ruleset, bridge: str, subnets: Iterable[str]) -> tuple[Concern, ...]:
    """Return the rules in which the bridge, or an address of the subnets, is named."""
    nets = [ip_network(one) for one in subnets]
    found = []
    for chain in rules.chains.values():
        for rule in chain.rules:
            elements = tuple(_elements(rules, rule, bridge, nets))
            named = any(_names(word, bridge, nets) for word in words(rule.expressions))
            if elements or named:
                found.append(Concern(rule.place, rule.text, elements))
    return tuple(found)


def is_masqueraded(rules: Ruleset, subnet: str) -> bool:
    """Say whether packets from a subnet are hidden behind the host by a rule on its source."""
    nets = [ip_network(subnet)]
    for chain in rules.chains.values():
        for rule in chain.rules:
            if chain.kind == "nat" and any("masquerade" in one for one in rule.expressions):
                first = rule.expressions[0].get("match", {})
                named = _by_source(first) and _mentions(rules, rule, first.get("right"), nets)
                if named:
                    return True
    return False


def words(value: Any) -> Iterator[str]:
    """Yield every text in a JSON value; of a prefix, its usual form."""
    if isinstance(value, dict):
        if "prefix" in value:
            yield f"{value['prefix']['addr']}/{value['prefix']['len']}"
            return
        for one in value.values():
            yield from words(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from words(one)
    elif isinstance(value, str):
        yield value


def _by_source(match: dict[str, Any]) -> bool:
    payload = match.get("left", {}).get("payload", {})
    return match.get("op") == "==" and payload.get("field") == "saddr"


def _mentions(rules: Ruleset, rule: Rule, right: Any, nets: list[Any]) -> bool:
    if isinstance(right, str) and right.startswith("@"):
        known = rules.sets.get((*rule.table, right[1:]))
        right = list(known.elements) if known else []
    return any(_names(word, "", nets) for word in words(right))


def _elements(rules: Ruleset, rule: Rule, bridge: str, nets: list[Any]) -> Iterator[str]:
    for name in dict.fromkeys(one for one in words(rule.expressions) if one.startswith("@")):
        known = rules.sets.get((*rule.table, name[1:]))
        for element in known.elements if known else ():
            if any(_names(word, bridge, nets) for word in words(element)):
                yield f"{name}: {spelled(element)}"


def spelled(element: Any) -> str:
    """Return an element of a set, or of a map, as nft spells it."""
    if isinstance(element, list | tuple):
        return " : ".join(spelled(one) for one in element)
    if not isinstance(element, dict):
        return str(element)
    if "concat" in element:
        return " . ".join(spelled(one) for one in element["concat"])
    if "prefix" in element:
        return f"{element['prefix']['addr']}/{element['prefix']['len']}"
    if "elem" in element:
        return spelled(element["elem"]["val"])
    if "range" in element:
        return "-".join(spelled(one) for one in element["range"])
    name, value = next(iter(element.items()))
    return f"{name} {value['target']}" if isinstance(value, dict) and "target" in value else name


def _names(word: str, bridge: str, nets: list[Any]) -> bool:
    if word == bridge:
        return True
    if not word[:1].isalnum() or not set(word) & {".", ":"}:
        return False
    try:
        named = ip_network(word) if "/" in word else ip_network(ip_address(word))
    except ValueError:
        return False
    return any(one.version == named.version and named.subnet_of(one) for one in nets)
