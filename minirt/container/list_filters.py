"""``--filter KEY=VALUE`` of the verbs that list and prune, as Docker reads it."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from minirt.errors import BadFlag, InvalidRequest

Filters = dict[str, list[str]]  # values by key, in the order in which they were given


def parse(texts: Iterable[str], known: Collection[str]) -> Filters:
    """Sort filters by their keys.

    Raises BadFlag for one without ``=``, InvalidRequest for a key that is not ``known``.
    """
    found: Filters = {}
    for text in texts:
        key, equals, value = text.partition("=")
        key = key.strip().lower()
        if not equals:
            raise BadFlag(f"Invalid filter '{text}'", "bad format of filter", "Write KEY=VALUE.")
        if key not in known:
            raise InvalidRequest(f"Invalid filter '{key}'", "", f"There are: {', '.join(known)}.")
        found.setdefault(key, []).append(value.strip())
    return found


def needs_all(key: str) -> bool:
    """Say whether all values of a key must match, as labels do: of other keys any will do."""
    return key in ("label", "label!")
