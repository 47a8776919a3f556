"""Rules as libnftables-json(5) prints them, built from a few words."""

from __future__ import annotations

import json
from typing import Any

from minirt.explain.ruleset import Ruleset, parse

Expression = dict[str, Any]
ACCEPT: Expression = {"accept": None}
DROP: Expression = {"drop": None}


def match(left: Expression, right: Any, op: str = "==") -> Expression:
    return {"match": {"op": op, "left": left, "right": right}}


def meta(key: str) -> Expression:
    return {"meta": {"key": key}}


def field(protocol: str, name: str) -> Expression:
    return {"payload": {"protocol": protocol, "field": name}}


def ct(key: str) -> Expression:
    return {"ct": {"key": key}}


def concat(*parts: Any) -> Expression:
    return {"concat": list(parts)}


def prefix(text: str) -> Expression:
    address, length = text.split("/")
    return {"prefix": {"addr": address, "len": int(length)}}


def base(hook: str, priority: int = 0, kind: str = "filter", policy: str = "accept") -> Expression:
    """Return what makes a chain a base chain."""
    return {"type": kind, "hook": hook, "prio": priority, "policy": policy}


def table(
    name: str,
    chains: dict[str, tuple[Expression, list[list[Expression]]]],
    sets: dict[str, list[Any]] | None = None,
    family: str = "inet",
) -> list[Expression]:
    """Return a table: chains by name, each with its hook and its rules; sets or maps by name."""
    here = {"family": family, "table": name}
    items: list[Expression] = [{"table": {"family": family, "name": name}}]
    for chain, (hook, _) in chains.items():
        items.append({"chain": {**here, "name": chain, **hook}})
    for known, elements in (sets or {}).items():
        is_map = bool(elements) and isinstance(elements[0], list)
        kind = "map" if is_map else "set"
        items.append({kind: _set(here, known, elements, is_map)})
    handle = 0
    for chain, (_, rules) in chains.items():
        for rule in rules:
            handle += 1
            items.append({"rule": {**here, "chain": chain, "handle": handle, "expr": rule}})
    return items


def _set(here: Expression, name: str, elements: list[Any], is_map: bool) -> Expression:
    known = {**here, "name": name, "elem": elements}
    return {**known, "map": "verdict"} if is_map else known


def ruleset(*tables: list[Expression], listing: str = "") -> Ruleset:
    """Read tables as if nft had printed them."""
    return parse(json.dumps({"nftables": [one for each in tables for one in each]}), listing)
