"""The rows of ``network ls``, and which networks a filter means."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from minirt.container import list_filters
from minirt.container.lifecycle import SHORT
from minirt.container.templates.values import Fields
from minirt.container.times import since
from minirt.errors import InvalidRequest
from minirt.network import leases, store
from minirt.network.spec import Network

HEADERS = {
    "ID": "NETWORK ID",
    "Name": "NAME",
    "Driver": "DRIVER",
    "Scope": "SCOPE",
    "IPv6": "IPV6",
    "Internal": "INTERNAL",
    "Labels": "LABELS",
    "CreatedAt": "CREATED AT",
}
COLUMNS = ("ID", "Name", "Driver", "Scope")
Match = Callable[[Network, str], bool]


class Row(Fields):
    """A network in a list."""

    go_type = "*network.networkContext"


def row(network: Network, *, cut: bool = True) -> Row:
    """Return the fields of a network: all of them text, as Docker has them."""
    fields = Row(
        ID=network.id[:SHORT] if cut else network.id,
        Name=network.name,
        Driver=network.driver,
        Scope="local",
        IPv6=str(network.subnet6 is not None).lower(),
        Internal=str(network.internal).lower(),
        Labels=",".join(f"{key}={value}" for key, value in network.labels.items()),
        CreatedAt=f"{network.created[:10]} {network.created[11:-1]} +0000 UTC",
    )
    fields.labels = network.labels
    return fields


def kept(networks: Iterable[Network], filters: Iterable[str]) -> list[Network]:
    """Return the networks that pass the filters: of one key any, of every key one.

    Raises InvalidRequest.
    """
    return _passing(networks, filters, {**_LISTED, **_LABELS})


def prunable(networks: Iterable[Network], filters: Iterable[str]) -> list[Network]:
    """Return the networks that ``network prune`` means: made by users, used by no container."""
    own = [one for one in networks if one.name not in store.PREDEFINED]
    return [one for one in _passing(own, filters, _PRUNED) if not leases.in_use(one)]


def _passing(
    networks: Iterable[Network], filters: Iterable[str], known: dict[str, Match]
) -> list[Network]:
    wanted = list_filters.parse(filters, known)
    return [
        one
        for one in networks
        if all(_passes(one, key, values, known[key]) for key, values in wanted.items())
    ]


def _passes(network: Network, key: str, values: list[str], match: Match) -> bool:
    choose = all if list_filters.needs_all(key) else any
    return choose(match(network, value) for value in values)


def _by_name(network: Network, value: str) -> bool:
    try:
        return bool(re.search(value, network.name))
    except re.error:
        return value in network.name


def _by_label(network: Network, value: str) -> bool:
    key, equals, wanted = value.partition("=")
    return key in network.labels and (not equals or network.labels[key] == wanted)


def _by_type(network: Network, value: str) -> bool:
    if value not in ("custom", "builtin"):
        raise InvalidRequest(f"invalid filter: 'type'='{value}'", "it is custom or builtin")
    return (network.name in store.PREDEFINED) == (value == "builtin")


def _by_use(network: Network, value: str) -> bool:
    if value not in ("true", "false", "1", "0"):
        raise InvalidRequest(f"invalid filter: 'dangling'='{value}'", "it is true or false")
    custom = network.name not in store.PREDEFINED
    return (custom and not leases.in_use(network)) == (value in ("true", "1"))


def _before(network: Network, value: str) -> bool:
    return network.created < since(value, "--filter until")


_LABELS: dict[str, Match] = {"label": _by_label}
_LISTED: dict[str, Match] = {
    "name": _by_name,
    "id": lambda network, value: network.id.startswith(value),
    "driver": lambda network, value: network.driver == value,
    "scope": lambda _, value: value == "local",
    "type": _by_type,
    "dangling": _by_use,
}
_PRUNED: dict[str, Match] = {
    **_LABELS,
    "label!": lambda network, value: not _by_label(network, value),
    "until": _before,
}
